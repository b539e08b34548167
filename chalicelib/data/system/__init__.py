"""The cross-tenant functions: one `.sql` file per function, applied by migrations (docs/database.md)."""
