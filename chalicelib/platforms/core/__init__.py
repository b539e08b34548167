"""The parts that all platforms share: their contract, the HTTP client, OAuth, faults, records."""
