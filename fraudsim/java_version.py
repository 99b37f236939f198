"""Which Java a `java` binary is."""

import re
import subprocess
from pathlib import Path
from typing import Final

_VERSION: Final = re.compile(r'version "(?:1\.)?(\d+)')


def java_version(java: Path) -> int:
    """Major version of a `java` binary, asked of the binary itself.

    Raises:
        OSError: it cannot be started.
        ValueError: it answers with no version.
    """
    answer = subprocess.run(
        [str(java), "-version"],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    found = _VERSION.search(answer.stderr + answer.stdout)
    if found is None:
        raise ValueError(f"{java} -version says nothing of a version")
    return int(found[1])
