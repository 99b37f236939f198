"""A run's folder, and the link `runs/latest` to the newest one."""

import os
import secrets
import time
from pathlib import Path

from fraudsim.errors import FraudsimError
from fraudsim.process.disk import explain_disk_errors


def new_run_path(runs_dir: Path, out: Path | None) -> Path:
    """The path of a new run's folder: `out`, or a new one in `runs_dir`. Nothing is made yet.

    Raises:
        FraudsimError: `out` holds an earlier run, or is a file.
    """
    if out is None:
        out = runs_dir / f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(2)}"
    if (out / "manifest.json").exists() or (out / "log").exists():
        raise FraudsimError(f"--out {out} holds an earlier run: name another folder, or remove it")
    if out.exists() and not out.is_dir():
        raise FraudsimError(f"--out {out} is a file: name a folder")
    return out.resolve()


def reusable_run(reuse: Path) -> Path:
    """The folder of an earlier run, without links: a new run moves `runs/latest`.

    Raises:
        FraudsimError: it has no history or no model.
    """
    for name in ("history", "model"):
        if not (reuse / name).is_dir():
            raise FraudsimError(f"--reuse {reuse} has no {name} folder: name an earlier run")
    return reuse.resolve()


def make_run_folder(runs_dir: Path, run_dir: Path) -> None:
    """Make the folder of a new run and point `latest` at it.

    Raises:
        FraudsimError: a folder cannot be made.
    """
    for folder in (run_dir, runs_dir):
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise FraudsimError(f"the folder {folder} cannot be made: {error.strerror}") from None
    with explain_disk_errors(runs_dir):
        _replace_link(runs_dir / "latest", run_dir)


def _replace_link(link: Path, target: Path) -> None:
    try:
        link_text = target.relative_to(link.parent.resolve())
    except ValueError:
        link_text = target
    temporary = link.with_name(f".latest-{os.getpid()}")
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(link_text)
    temporary.replace(link)
