"""`fraudsim load run`: the target is checked, the generator's own floor measured, the load sent, the result written."""
