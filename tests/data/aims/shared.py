"""What aims of several modules share."""

READ_LATER = "UPDATE account_position SET read_started_at = 'infinity'"
