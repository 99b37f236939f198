"""The machine and the versions that a benchmark's report names."""

import os
import platform
from importlib.metadata import version
from typing import Any

import psutil

from fraudsim import __version__


def machine(packages: tuple[str, ...], **versions: object) -> dict[str, Any]:
    """Processor, cores, memory; versions of fraudsim, Python and `packages`, and further `versions`."""
    return {
        "cpu": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "versions": {
            "fraudsim": __version__,
            "python": platform.python_version(),
            **{name: version(name) for name in packages},
            **versions,
        },
    }
