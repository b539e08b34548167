"""What every platform is made of: its contract, the HTTP client, OAuth, faults, records."""
