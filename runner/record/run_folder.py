"""A run's folder, and the link `runs/latest` to the newest one."""

import os
import secrets
import time
from pathlib import Path

from fraudsim.errors import FraudsimError


def new_run_folder(runs_dir: Path, out: Path | None) -> Path:
    """Make the folder of a new run (`out`, or a new one in `runs_dir`) and point `latest` at it.

    Raises:
        FraudsimError: `out` holds an earlier run, or the folder cannot be made.
    """
    if out is None:
        out = runs_dir / f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(2)}"
    if (out / "manifest.json").exists() or (out / "log").exists():
        raise FraudsimError(f"--out {out} holds an earlier run: name another folder, or remove it")
    try:
        out.mkdir(parents=True, exist_ok=True)
        runs_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FraudsimError(f"--out {out} cannot be made: {error.strerror}") from None
    _replace_link(runs_dir / "latest", out.resolve())
    return out.resolve()


def _replace_link(link: Path, target: Path) -> None:
    try:
        link_text = target.relative_to(link.parent.resolve())
    except ValueError:
        link_text = target
    temporary = link.with_name(f".latest-{os.getpid()}")
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(link_text)
    temporary.replace(link)
