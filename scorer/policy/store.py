"""Exchange of a policy's folder as a whole; the previous folder is kept beside it for a rollback."""

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
    """Check `new` and copy it to `folder`, whose content becomes the previous policy.

    Raises:
        FraudsimError: `new` is no policy, or the folder cannot be written.
    """
    folder = _replaceable(folder)
    policy = load_policy(new)
    staging = _staging_folder(folder)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(new, staging / folder.name)
        if folder.exists():
            shutil.rmtree(previous_of(folder), ignore_errors=True)
            os.rename(folder, previous_of(folder))
        os.rename(staging / folder.name, folder)
    except OSError as error:
        raise FraudsimError(f"policy {error.filename or folder}: {error.strerror or error}") from None
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return policy


def rollback(folder: Path) -> Policy:
    """Swap a folder with its previous one; a second rollback undoes the first.

    Raises:
        FraudsimError: there is no previous one, or it is no policy.
    """
    folder = _replaceable(folder)
    previous = previous_of(folder)
    if not previous.is_dir():
        raise FraudsimError(f"policy {folder}: there is no {previous.name} beside it to go back to")
    policy = load_policy(previous)
    staging = _staging_folder(folder)
    os.rename(folder, staging / folder.name)
    os.rename(previous, folder)
    os.rename(staging / folder.name, previous)
    staging.rmdir()
    return policy


def _replaceable(folder: Path) -> Path:
    folder = folder.absolute()
    if folder == SHIPPED:
        raise FraudsimError(
            f"policy {folder}: the shipped one stays as it is; name a folder of your own by --at, "
            "the one that FRAUDSIM_POLICY names or the folder `policy` of a run"
        )
    return folder


def _staging_folder(folder: Path) -> Path:
    """A new folder beside it, so that a rename stays on one file system."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    return Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
