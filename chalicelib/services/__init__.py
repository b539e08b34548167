"""The product's rules, one file per noun."""
