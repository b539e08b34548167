"""AnselAI backend: connections, syncs and metrics for photography studios."""
