"""Schedules of streams: frequencies, cron expressions, and the runs that they start."""
