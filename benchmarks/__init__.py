"""What the product costs, compared with the alternatives it could be built with. `make bench` runs every subject."""
