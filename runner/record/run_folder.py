"""A run's folder, and `runs/latest` which points at the newest."""

import os
import secrets
import time
from pathlib import Path

from fraudsim.errors import FraudsimError


def new_run_folder(runs_dir: Path, out: Path | None) -> Path:
    """Make the folder of a new run (`out`, or a new one under `runs_dir`) and point `latest` at it.

    Raises:
        FraudsimError: `out` holds an earlier run.
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
    _point(runs_dir / "latest", out.resolve())
    return out.resolve()


def _point(link: Path, target: Path) -> None:
    try:
        aim = target.relative_to(link.parent.resolve())
    except ValueError:
        aim = target
    temporary = link.with_name(f".latest-{os.getpid()}")
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(aim)
    temporary.replace(link)
