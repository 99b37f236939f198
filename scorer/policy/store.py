"""A policy's folder exchanged as a whole, the one before it kept beside it for a rollback."""

import os
import shutil
import tempfile
from pathlib import Path

from fraudsim.errors import FraudsimError
from scorer.policy.file import SHIPPED, load_policy
from scorer.policy.policy import Policy


def previous_of(folder: Path) -> Path:
    """Where the policy before this folder's is kept."""
    return folder.with_name(f"{folder.name}.previous")


def put(new: Path, folder: Path) -> Policy:
    """Check `new` and copy it into the place of `folder`, whose content becomes the previous one.

    Raises:
        FraudsimError: `new` is no policy, or the place cannot be written.
    """
    folder = _own(folder)
    policy = load_policy(new)
    fresh = _beside(folder)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(new, fresh / folder.name)
        if folder.exists():
            shutil.rmtree(previous_of(folder), ignore_errors=True)
            os.rename(folder, previous_of(folder))
        os.rename(fresh / folder.name, folder)
    except OSError as error:
        raise FraudsimError(f"policy {error.filename or folder}: {error.strerror or error}") from None
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return policy


def rollback(folder: Path) -> Policy:
    """Exchange a folder with its previous one; again is back again.

    Raises:
        FraudsimError: there is no previous one, or it is no policy.
    """
    folder = _own(folder)
    previous = previous_of(folder)
    if not previous.is_dir():
        raise FraudsimError(f"policy {folder}: there is no {previous.name} beside it to go back to")
    policy = load_policy(previous)
    away = _beside(folder)
    os.rename(folder, away / folder.name)
    os.rename(previous, folder)
    os.rename(away / folder.name, previous)
    away.rmdir()
    return policy


def _own(folder: Path) -> Path:
    folder = folder.absolute()
    if folder == SHIPPED:
        raise FraudsimError(
            f"policy {folder}: the shipped one stays as it is; name a folder of your own by --at, "
            "the one that FRAUDSIM_POLICY names or the folder `policy` of a run"
        )
    return folder


def _beside(folder: Path) -> Path:
    folder.parent.mkdir(parents=True, exist_ok=True)
    return Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
