"""Whether and when a platform is called: circuit breakers, quotas and retries."""
