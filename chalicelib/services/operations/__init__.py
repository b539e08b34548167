"""What operators and the maintenance job do, across studios."""
