"""Which Java a `java` binary is, asked of the binary itself."""

import re
import subprocess
from pathlib import Path
from typing import Final

_VERSION: Final = re.compile(r'version "(?:1\.)?(\d+)')


def java_version(java: Path) -> int:
    """Its major version.

    Raises:
        OSError, subprocess.TimeoutExpired: it cannot be started, or does not answer.
        ValueError: it answers with no version.
    """
    found = _VERSION.search(_answer(java, "-version"))
    if found is None:
        raise ValueError(f"{java} -version says nothing of a version")
    return int(found[1])


def java_modules(java: Path) -> set[str]:
    """Names of the modules that it has.

    Raises:
        OSError, subprocess.TimeoutExpired: it cannot be started, or does not answer.
    """
    return {line.partition("@")[0] for line in _answer(java, "--list-modules").splitlines()}


def _answer(java: Path, question: str) -> str:
    answer = subprocess.run(
        [str(java), question],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=30,
        check=False,
    )
    return answer.stdout
