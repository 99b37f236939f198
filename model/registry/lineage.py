"""Lineage: what a registered version was made of and from; `lineage/VERSION.json` beside the versions.

A version's own folder never changes and is sealed, so what is known of its making stands outside. A version
that was put by hand has its manifest alone.
"""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from fraudsim.errors import FraudsimError
from fraudsim.whole_files import write_whole
from model.artefact.files import read_manifest

LINEAGE_FOLDER: Final = "lineage"


class Lineage(msgspec.Struct, frozen=True, kw_only=True):
    """How a version came to be."""

    version: str
    parent: str | None
    """The champion at the time, whom it was compared with; None for the first."""
    data_fingerprint: str
    from_ms: int
    until_ms: int
    """Event times of the data: its first, and the one by which labels were known."""
    transactions: int
    known_frauds: int
    parameters: dict[str, float]
    code: str
    """Version of the programs."""
    trigger: str
    """Why it was trained."""
    gate: dict[str, float]
    """The comparison with the parent."""


class Change(NamedTuple):
    """A field in which two versions differ; '' where one has none."""

    field: str
    before: str
    after: str


def write_lineage(registry: Path, lineage: Lineage) -> None:
    """Write it, or replace it whole."""
    folder = registry / LINEAGE_FOLDER
    folder.mkdir(exist_ok=True)
    content = msgspec.json.format(msgspec.json.encode(lineage), indent=2) + b"\n"
    write_whole(folder / f"{lineage.version}.json", content, durable=True)


def read_lineage(registry: Path, version: str) -> Lineage | None:
    """The lineage of a version; None where nobody has written it.

    Raises:
        FraudsimError: the file cannot be read.
    """
    path = registry / LINEAGE_FOLDER / f"{version}.json"
    try:
        return msgspec.json.decode(path.read_bytes(), type=Lineage)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError) as error:
        raise FraudsimError(f"models {path}: {error}; remove it, the model serves without") from None


def differences(registry: Path, before: str, after: str) -> list[Change]:
    """Every field of manifest and lineage in which two versions differ, without samples and trees.

    Raises:
        FraudsimError: a file of them cannot be read.
    """
    first, second = (dict(_fields(registry, version)) for version in (before, after))
    names = list(dict.fromkeys([*first, *second]))
    return [
        Change(name, first.get(name, ""), second.get(name, ""))
        for name in names
        if first.get(name, "") != second.get(name, "")
    ]


def _fields(registry: Path, version: str) -> Iterator[tuple[str, str]]:
    manifest: dict[str, Any] = msgspec.to_builtins(read_manifest(registry / version))
    for name in ("sample", "variants"):
        manifest.pop(name, None)
    manifest.get("fallback", {}).pop("sample", None)
    yield from _flat("", manifest)
    lineage = read_lineage(registry, version)
    if lineage is not None:
        yield from _flat("lineage", msgspec.to_builtins(lineage))


def _flat(prefix: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for name, part in value.items():
            yield from _flat(f"{prefix}.{name}" if prefix else str(name), part)
    elif isinstance(value, float):
        yield prefix, f"{value:.6g}" if math.isfinite(value) else str(value)
    elif isinstance(value, list) and len(value) > 8:
        yield prefix, f"{len(value)} values, {hash_of(value)}"
    else:
        yield prefix, str(value)


def hash_of(value: list[Any]) -> str:
    """Eight hex digits of a long list."""
    import hashlib

    return hashlib.sha256(msgspec.json.encode(value)).hexdigest()[:8]
