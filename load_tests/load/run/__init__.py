"""`fraudsim load run`: checks the target, measures the generator's own floor, sends the load, writes."""
