"""The version and the modules of a `java` binary, as the binary itself reports them."""

import re
import subprocess
from pathlib import Path
from typing import Final

_VERSION: Final = re.compile(r'version "(?:1\.)?(\d+)')


def java_version(java: Path) -> int:
    """Major version of a `java` binary.

    Raises:
        OSError, subprocess.TimeoutExpired: it cannot be started, or does not end within 30 s.
        ValueError: its output holds no version.
    """
    match = _VERSION.search(_output(java, "-version"))
    if match is None:
        raise ValueError(f"{java} -version prints no version")
    return int(match[1])


def java_modules(java: Path) -> set[str]:
    """Names of the modules of a `java` binary.

    Raises:
        OSError, subprocess.TimeoutExpired: it cannot be started, or does not end within 30 s.
    """
    return {line.partition("@")[0] for line in _output(java, "--list-modules").splitlines()}


def _output(java: Path, option: str) -> str:
    finished = subprocess.run(
        [str(java), option],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=30,
        check=False,
    )
    return finished.stdout
