"""What a report says of the machine, the versions and the command."""

import os
import platform
import shlex
import sys
from typing import Any

from load_tests.rig.machine import machine


def environment(kind: str) -> dict[str, Any]:
    """Machine, versions, load of the machine at the start, and the command line."""
    packages = ("locust", "gevent", "hdrhistogram", "numpy") if kind == "http" else ("kafka-python", "numpy")
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    return {
        **machine(packages),
        "system": f"{platform.system()} {platform.release()}",
        "load_average": None if load is None else round(load, 2),
        "command": shlex.join(["fraudsim", *sys.argv[1:]]),
    }
