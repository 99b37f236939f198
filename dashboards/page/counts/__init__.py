"""What the page counts of a log: transactions left over, seconds, money, and all of it together. Pure."""
