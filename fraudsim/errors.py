"""Errors meant for people: one line that names what is wrong, its value, and the next step."""


class FraudsimError(Exception):
    """A problem that the user can mend; the console script prints it as one line and exits with 2."""


class InvariantError(Exception):
    """Something that must always hold did not; the process ends with a non-zero code."""
