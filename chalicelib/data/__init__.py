"""All SQL lives here: the schema, the driver, transactions, and one query file per aggregate."""
