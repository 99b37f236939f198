"""A full disk or a folder that refuses, said in one line that names the folder."""

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fraudsim.errors import FraudsimError

MIN_FREE_MB = 200


def require_free_disk(folder: Path, min_free_mb: int = MIN_FREE_MB) -> None:
    """Check that the disk under `folder` (which need not exist yet) has room.

    Raises:
        FraudsimError: less than `min_free_mb` MB are free.
    """
    existing = folder.absolute()
    while not existing.exists():
        existing = existing.parent
    free_mb = shutil.disk_usage(existing).free // 1_000_000
    if free_mb < min_free_mb:
        raise FraudsimError(
            f"only {free_mb} MB are free on the disk of {folder}, {min_free_mb} MB are needed: "
            "free some space or choose another folder"
        )


@contextmanager
def explain_disk_errors(folder: Path) -> Iterator[None]:
    """Turn what stops the block from writing to `folder` into one line that names it.

    Raises:
        FraudsimError: the disk is full, or the folder may not be written to.
    """
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise FraudsimError(
                f"the disk of {folder} is full: free some space or choose another folder"
            ) from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise FraudsimError(
                f"{folder} cannot be written to ({error.strerror}): choose another folder"
            ) from error
        raise
