"""Files and folders that other processes see whole or not at all: written beside, then renamed."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole_file(path: Path, mode: int = 0o644, *, durable: bool = False) -> Iterator[Path]:
    """A path to write to; its file replaces `path` at the end, and is removed after an exception.

    The name is `.NAME.….tmp` in the same folder. Two processes may write the same path; the later one stands.

    Args:
        durable: the content is on the disk before it replaces `path`.
    """
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        os.chmod(temporary, mode)
        if durable:
            _sync(temporary)
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_whole(path: Path, content: str | bytes, mode: int = 0o644, *, durable: bool = False) -> None:
    """Write or replace a file, UTF-8 if it is text; see `whole_file` for `durable`."""
    with whole_file(path, mode, durable=durable) as temporary:
        temporary.write_bytes(content if isinstance(content, bytes) else content.encode())


@contextmanager
def whole_folder(path: Path, *, replace: bool = False) -> Iterator[Path]:
    """A folder to write to; it becomes `path` at the end, and is removed after an exception.

    Args:
        replace: it takes the place of a folder `path`, which is removed.

    Raises:
        OSError: `path` is a folder that is not empty, and is not to be replaced; it is left as it is.
    """
    temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent))
    try:
        yield temporary
        os.chmod(temporary, 0o755)  # noqa: S103  (as mkdir leaves it)
        if replace and path.is_dir():
            _exchange(temporary, path)
        else:
            os.rename(temporary, path)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def _exchange(new: Path, path: Path) -> None:
    """Move `new` to `path`, and remove the folder that is there."""
    aside = Path(tempfile.mkdtemp(prefix=f".{path.name}.old.", dir=path.parent))
    try:
        os.rename(path, aside / path.name)
        try:
            os.rename(new, path)
        except BaseException:
            os.rename(aside / path.name, path)
            raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
