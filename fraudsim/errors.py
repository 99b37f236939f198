"""Errors meant for people: one line that names what is wrong, its value, and the next step."""


class FraudsimError(Exception):
    """A problem that the user can fix; the console script prints it as one line and exits with 2."""


class InvariantError(Exception):
    """A broken invariant; the process ends with a non-zero exit code."""
