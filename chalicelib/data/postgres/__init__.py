"""How statements reach PostgreSQL: driver, pool, transactions, queries and their rows."""
