"""When a platform may be called: circuit breakers, quotas and retries."""
