"""Third-party loaders, each run by its own virtual environment. They use no code of the product."""
