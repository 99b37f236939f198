"""The one way to state what a text must look like as a whole."""

from msgspec import Meta


def whole_text(pattern: str, min_length: int | None = None, max_length: int | None = None) -> Meta:
    r"""A text that matches `pattern` from its first character to its last.

    The same expression checks events here and stands in the JSON Schemas, which have ECMA's syntax. In Python
    `$` also matches before a line feed at the end, hence the look-ahead; ECMA does not know Python's `\Z`.
    Write classes out (`[0-9]`): ECMA's `\d`, `\w` and `\s` mean other characters than Python's.
    """
    return Meta(pattern=rf"^{pattern}$(?!\n)", min_length=min_length, max_length=max_length)
