"""Pins of jars: a file in the format of `sha256sum`, with the path of each jar in the Maven layout.

The path gives the coordinate.
"""

from dataclasses import dataclass
from pathlib import Path, PurePosixPath


@dataclass(frozen=True)
class PinnedJar:
    """One jar: its path in the Maven layout (group folders/artifact/version/file) and its SHA-256."""

    path: PurePosixPath
    sha256: str

    @property
    def name(self) -> str:
        """The file name."""
        return self.path.name

    @property
    def coordinate(self) -> tuple[str, str, str, str]:
        """Group, artifact, version and classifier, which may be empty."""
        *group, artifact, version, file = self.path.parts
        classifier = file.removeprefix(f"{artifact}-{version}").removesuffix(".jar").lstrip("-")
        return ".".join(group), artifact, version, classifier


def read_pins(file: Path) -> list[PinnedJar]:
    """The pins of a file."""
    lines = file.read_text().splitlines()
    pairs = (line.split(maxsplit=1) for line in lines if line)
    return [PinnedJar(PurePosixPath(path), sha256) for sha256, path in pairs]
