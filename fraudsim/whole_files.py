"""Files and folders that other processes see whole or not at all: written beside, then renamed."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole_file(path: Path, mode: int = 0o644) -> Iterator[Path]:
    """A path to write to; its file replaces `path` at the end, and is removed after an exception.

    The name is `.NAME.….tmp` in the same folder. Two processes may write the same path; the later one stands.
    """
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        os.chmod(temporary, mode)
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_whole(path: Path, content: str | bytes, mode: int = 0o644) -> None:
    """Write or replace a file, UTF-8 if it is text."""
    with whole_file(path, mode) as temporary:
        temporary.write_bytes(content if isinstance(content, bytes) else content.encode())


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """A folder to write to; it becomes `path` at the end, and is removed after an exception.

    Raises:
        OSError: `path` is a folder that is not empty; it is left as it is.
    """
    temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent))
    try:
        yield temporary
        os.chmod(temporary, 0o755)  # noqa: S103  (as mkdir leaves it)
        os.rename(temporary, path)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
