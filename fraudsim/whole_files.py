"""Files and folders that other processes see whole or not at all: written beside, then renamed.

What is being written is called `.NAME.….tmp`, in the same folder. A process that is killed leaves it there;
a later one that writes into the folder removes what has not been touched for `STALE_S`.
"""

import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

STALE_S: Final = 24 * 3600.0
"""Age at which something half written has nobody who still writes it."""
_LEFTOVER: Final = re.compile(r"\..+\.[a-z0-9_]{8}\.tmp")
_ASIDE: Final = re.compile(r"\.(.+)\.old\.[a-z0-9_]{8}")
"""Of a folder while it is replaced."""
_swept_at_s: Final[dict[Path, float]] = {}
"""When this process last looked for leftovers, by folder."""


@contextmanager
def whole_file(path: Path, mode: int = 0o644, *, durable: bool = False) -> Iterator[Path]:
    """A path to write to; its file replaces `path` at the end, and is removed after an exception.

    Two processes may write the same path; the later one stands.

    Args:
        durable: the content is on the disk before it replaces `path`.
    """
    _sweep_if_due(path.parent)
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
def whole_folder(path: Path, *, replace: bool = False, previous: Path | None = None) -> Iterator[Path]:
    """A folder to write to; it becomes `path` at the end, and is removed after an exception.

    Args:
        replace: it takes the place of a folder `path`, which is removed.
        previous: it takes the place of a folder `path`, which becomes `previous`; what was there is removed.

    Raises:
        OSError: `path` is a folder that is not empty, and is not to be replaced; it is left as it is.
    """
    _sweep_if_due(path.parent)
    temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent))
    try:
        yield temporary
        os.chmod(temporary, 0o755)  # noqa: S103  (as mkdir leaves it)
        if (replace or previous is not None) and path.is_dir():
            _exchange(temporary, path, previous)
        else:
            os.rename(temporary, path)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


@contextmanager
def resumed_folder(path: Path) -> Iterator[Path]:
    """A folder to write to; it becomes `path` at the end, and stays as `NAME.partial` after an exception.

    The next attempt gets it as it was left. One process at a time: the caller holds a lock.
    """
    partial = path.with_name(f"{path.name}.partial")
    partial.mkdir(exist_ok=True)
    yield partial
    os.rename(partial, path)


def _exchange(new: Path, path: Path, previous: Path | None) -> None:
    """Move `new` to `path`, and the folder that is there to `previous`, or remove it."""
    aside = Path(tempfile.mkdtemp(prefix=f".{path.name}.old.", dir=path.parent))
    try:
        os.rename(path, aside / path.name)
        try:
            os.rename(new, path)
        except BaseException:
            os.rename(aside / path.name, path)
            raise
        if previous is not None:
            if previous.is_dir():
                os.rename(previous, aside / f"{previous.name}.old")
            os.rename(aside / path.name, previous)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def sweep_leftovers(folder: Path, older_than_s: float = STALE_S) -> int:
    """Remove what killed processes left half written in a folder. Returns how many files and folders."""
    before_s, removed = time.time() - older_than_s, 0
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            with suppress(OSError):  # another process may be faster
                if not _is_leftover(folder, entry.name):
                    continue
                if entry.stat(follow_symlinks=False).st_mtime > before_s:
                    continue
                if entry.is_dir(follow_symlinks=False):
                    shutil.rmtree(entry.path)
                else:
                    os.unlink(entry.path)
                removed += 1
    return removed


def _is_leftover(folder: Path, name: str) -> bool:
    aside = _ASIDE.fullmatch(name)
    if aside is not None:  # without its successor it is the only copy
        return (folder / aside[1]).is_dir()
    return _LEFTOVER.fullmatch(name) is not None


def _sweep_if_due(folder: Path) -> None:
    now_s, folder = time.monotonic(), folder.absolute()
    if now_s - _swept_at_s.get(folder, -STALE_S) >= STALE_S:
        _swept_at_s[folder] = now_s
        sweep_leftovers(folder)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
