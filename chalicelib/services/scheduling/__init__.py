"""When a stream is read: frequencies, cron expressions, and the schedules made of them."""
