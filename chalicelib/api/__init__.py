"""The HTTP API: routes and wire schemas, one file per noun."""
