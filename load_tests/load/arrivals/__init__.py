"""When requests are intended to be sent: shapes of a rate over time, and a schedule from a seed."""
