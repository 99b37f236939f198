"""Prometheus's programs: named by a variable, on PATH, or built by `make prometheus`."""

import os
import re
import shutil
from pathlib import Path
from typing import Final, Literal

from fraudsim.errors import FraudsimError

BUILD: Final = Path(__file__).parent / "prometheus" / "build"


def version() -> str:
    """The version that `make prometheus` builds. The Go module's v0.313.5 is release 3.13.5."""
    match = re.search(r"prometheus/prometheus v0\.(\d)(\d\d)\.(\d+)$", (BUILD / "go.mod").read_text(), re.M)
    if not match:
        raise FraudsimError(f"{BUILD / 'go.mod'} names no version of Prometheus")
    return f"{match[1]}.{int(match[2])}.{match[3]}"


def find(name: Literal["promtool", "prometheus"], cache_dir: Path) -> Path:
    """The program named by `FRAUDSIM_PROMTOOL` or `FRAUDSIM_PROMETHEUS`, else on PATH, else in the cache.

    Raises:
        FraudsimError: it is in none of these.
    """
    configured = os.environ.get(f"FRAUDSIM_{name.upper()}")
    on_path = shutil.which(name)
    built = cache_dir.expanduser() / f"prometheus-{version()}" / name
    for path in (configured, on_path, built):
        if path and Path(path).is_file():
            return Path(path)
    raise FraudsimError(f"no {name}: `make prometheus` builds it (needs Go), or set FRAUDSIM_{name.upper()}")
