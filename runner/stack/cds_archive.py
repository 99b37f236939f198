"""A class-data archive that halves the broker's start: made once, in the background of a first run.

Most of a start is loading some 7,000 classes. A first run lists them, then a process of the lowest priority
writes them, ready to map, to the cache folder; later starts use that file. Java itself checks that the file
fits and goes on without it where it does not.
"""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from runner.supervise.supervisor import Part

NAME = "kafka-archive"

# The empty file marks a Java that cannot make one, so that it is not tried at every start.
_DUMP = '"$@" && mv "$SCRATCH" "$ARCHIVE" || : >"$ARCHIVE"'


@dataclass(frozen=True)
class CdsArchive:
    """The archive of one Java and one class path in `folder`; a first run lists classes in `class_list`."""

    folder: Path
    java: Path
    jars: tuple[Path, ...]
    class_list: Path
    gc_flags: tuple[str, ...] = ()

    @property
    def path(self) -> Path:
        """Where the archive is, or will be."""
        marks = [(str(path), path.stat().st_mtime_ns) for path in (self.java.resolve(), *self.jars)]
        key = hashlib.sha256(repr((marks, self.gc_flags)).encode()).hexdigest()[:16]
        return self.folder / f"kafka-classes-{key}.jsa"

    @property
    def missing(self) -> bool:
        """Whether it has yet to be made."""
        return not self.path.exists()

    def flags(self) -> list[str]:
        """What to tell Java: use the archive, or list the classes for one."""
        if self.missing:
            return [f"-XX:DumpLoadedClassList={self.class_list}"]
        return [f"-XX:SharedArchiveFile={self.path}"] if self.path.stat().st_size else []

    def part(self, env: Mapping[str, str]) -> Part:
        """The process that makes the archive from the list, for the collector that the broker runs with."""
        scratch = self.path.with_suffix(f".{os.getpid()}.scratch")
        command = [
            str(self.java),
            "-Xshare:dump",
            *self.gc_flags,
            f"-XX:SharedClassListFile={self.class_list}",
            f"-XX:SharedArchiveFile={scratch}",
            "-cp",
            os.pathsep.join(str(jar) for jar in self.jars),
        ]
        where = {"SCRATCH": str(scratch), "ARCHIVE": str(self.path)}
        argv = ["/bin/sh", "-c", _DUMP, "sh", *command]
        return Part(NAME, argv, {**env, **where}, restart=False, stop_timeout_s=1.0, nice=19)
