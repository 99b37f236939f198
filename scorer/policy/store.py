"""Exchange of a policy's folder as a whole; the previous folder is kept beside it for a rollback."""

import shutil
from pathlib import Path

from fraudsim.errors import FraudsimError
from fraudsim.whole_files import whole_folder
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
    folder = folder.absolute()
    if folder == SHIPPED:
        raise FraudsimError(
            f"policy {folder}: the shipped one stays as it is; name a folder of your own by --at, "
            "the one that FRAUDSIM_POLICY names or the folder `policy` of a run"
        )
    policy = load_policy(new)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with whole_folder(folder, previous=previous_of(folder)) as copy:
            shutil.copytree(new, copy, dirs_exist_ok=True)
    except OSError as error:
        raise FraudsimError(f"policy {error.filename or folder}: {error.strerror or error}") from None
    return policy


def rollback(folder: Path) -> Policy:
    """Swap a folder with its previous one; a second rollback undoes the first.

    Raises:
        FraudsimError: there is no previous one, or it is no policy, or the folder cannot be written.
    """
    previous = previous_of(folder.absolute())
    if not previous.is_dir() and folder.absolute() != SHIPPED:
        raise FraudsimError(f"policy {folder}: there is no {previous.name} beside it to go back to")
    return put(previous, folder)
