"""Disk errors (too little space, no permission) as one line that names the folder."""

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fraudsim.errors import FraudsimError

MIN_FREE_MB = 200


def require_free_disk(folder: Path, min_free_mb: int = MIN_FREE_MB) -> None:
    """Check the free space of the disk of `folder`, which need not exist yet.

    Raises:
        FraudsimError: less than `min_free_mb` MB are free.
    """
    existing_folder = folder.absolute()
    while not existing_folder.exists():
        existing_folder = existing_folder.parent
    free_mb = shutil.disk_usage(existing_folder).free // 1_000_000
    if free_mb < min_free_mb:
        raise FraudsimError(
            f"only {free_mb} MB are free on the disk of {folder}, {min_free_mb} MB are needed: "
            "free some space or choose another folder"
        )


@contextmanager
def explain_disk_errors(folder: Path) -> Iterator[None]:
    """Turn an OSError of the block that concerns writing to `folder` into one line that names it.

    Raises:
        FraudsimError: the disk is full, or the folder cannot be written to.
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
