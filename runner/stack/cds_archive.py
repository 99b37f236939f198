"""Java's class data sharing (CDS) archive of the broker, which halves its start time.

Most of a start is the loading of some 7,000 classes. The first run lists them; then a process of the lowest
priority writes them, ready to map, to a file in the cache folder. Later starts map that file. Java checks
that the file fits, and starts without it if it does not.
"""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from runner.supervise.supervisor import Part

NAME = "kafka-archive"

# An empty file marks a Java that cannot make an archive, so that not every start tries again. A dump that was
# ended by a signal, or whose list went with its folder, says nothing about Java: the next start tries again.
_DUMP = """\
"$@"
code=$?
if [ $code -eq 0 ]; then mv "$SCRATCH" "$ARCHIVE"
elif [ $code -lt 128 ] && [ -s "$CLASSES" ]; then : >"$ARCHIVE"
fi
rm -f "$SCRATCH"
"""
_FORMAT = 2
"""Part of the archive's name: another number makes every archive anew."""


@dataclass(frozen=True)
class CdsArchive:
    """The CDS archive in `folder` for one Java and one class path; a first run writes `class_list`."""

    folder: Path
    java: Path
    jars: tuple[Path, ...]
    class_list: Path
    gc_flags: tuple[str, ...] = ()

    @property
    def path(self) -> Path:
        """The archive file, which may not exist yet; its name depends on Java, the jars and the GC flags."""
        identity = [(str(path), path.stat().st_mtime_ns) for path in (self.java.resolve(), *self.jars)]
        key = hashlib.sha256(repr((_FORMAT, identity, self.gc_flags)).encode()).hexdigest()[:16]
        return self.folder / f"kafka-classes-{key}.jsa"

    @property
    def missing(self) -> bool:
        """Whether the file has yet to be made."""
        return not self.path.exists()

    def flags(self) -> list[str]:
        """Java flags: use the archive, or list the classes for one; none if this Java cannot make one."""
        if self.missing:
            return [f"-XX:DumpLoadedClassList={self.class_list}"]
        return [f"-XX:SharedArchiveFile={self.path}"] if self.path.stat().st_size else []

    def part(self, env: Mapping[str, str]) -> Part:
        """The process that makes the archive from the class list, with the broker's garbage collector."""
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
        paths = {"SCRATCH": str(scratch), "ARCHIVE": str(self.path), "CLASSES": str(self.class_list)}
        argv = ["/bin/sh", "-c", _DUMP, "sh", *command]
        return Part(NAME, argv, {**env, **paths}, restart=False, stop_timeout_s=1.0, nice=19)
