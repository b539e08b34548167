"""Other people's loaders, each run by a virtual environment of its own. Nothing of the product is in here."""
