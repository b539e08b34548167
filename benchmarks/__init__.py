"""What the product costs, measured beside what it could have been built with. `make bench` runs every subject."""
