"""A registry of models: a folder for each version, which never changes, and `aliases.json`: who does what.

The alias file is replaced by renaming: whoever reads it sees one state or the next, never half of one.
"""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec

from fraudsim.errors import FraudsimError
from model.artefact.files import MANIFEST_FILE, load_model, read_manifest
from model.artefact.manifest import Manifest
from model.registry.aliases import Aliases, check_aliases

ALIASES_FILE: Final = "aliases.json"


def is_registry(folder: Path) -> bool:
    """Whether a folder is a registry, and not a single model."""
    return (folder / ALIASES_FILE).exists()


def read_aliases(registry: Path) -> Aliases:
    """Who does what.

    Raises:
        FraudsimError: the file is missing, or contradicts itself; one line that names the field.
    """
    path = registry / ALIASES_FILE
    try:
        aliases = msgspec.json.decode(path.read_bytes(), type=Aliases)
    except OSError as error:
        raise FraudsimError(
            f"models {path}: {error.strerror}; `fraudsim model put MODEL --at {registry}` makes a registry"
        ) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise FraudsimError(f"models {path}: {error}") from None
    check_aliases(aliases, str(path))
    return aliases


def folder_of(registry: Path, version: str) -> Path:
    """Where a version is kept."""
    return registry / version


def put(new: Path, registry: Path) -> tuple[Manifest, Aliases]:
    """Check a model and copy it into a registry, made where there is none: its first model is its champion.

    A version that is there already stays as it is.

    Raises:
        FraudsimError: `new` is no model that can be served, or the place cannot be written.
    """
    registry = registry.absolute()
    if (registry / MANIFEST_FILE).exists():
        raise FraudsimError(
            f"models {registry}: it is a single model, no registry; name another folder by --at, "
            "and have FRAUDSIM_MODEL_DIR name it too"
        )
    manifest = load_model(new).manifest
    fresh: Path | None = None
    try:
        registry.mkdir(parents=True, exist_ok=True)
        with _alone(registry):
            place = folder_of(registry, manifest.version)
            if place.exists():
                load_model(place)  # damaged, it would be served by nobody
            else:
                fresh = Path(tempfile.mkdtemp(prefix=f".{manifest.version}.", dir=registry))
                shutil.copytree(new, fresh / manifest.version)
                load_model(fresh / manifest.version)  # the source could have changed while it was copied
                os.rename(fresh / manifest.version, place)
            if is_registry(registry):
                return manifest, read_aliases(registry)
            aliases = Aliases(champion=manifest.version)
            _write(registry, aliases)
            return manifest, aliases
    except OSError as error:
        raise FraudsimError(f"models {error.filename or registry}: {error.strerror or error}") from None
    finally:
        if fresh is not None:
            shutil.rmtree(fresh, ignore_errors=True)


def change(registry: Path, how: Callable[[Aliases], Aliases]) -> Aliases:
    """Have the aliases changed; two changes at once come one after the other.

    Raises:
        FraudsimError: what `how` raises; or the file cannot be read or written.
    """
    try:
        with _alone(registry):
            before = read_aliases(registry)
            after = how(before)
            if after != before:
                check_aliases(after, str(registry / ALIASES_FILE))
                _write(registry, after)
            return after
    except OSError as error:
        raise FraudsimError(
            f"models {error.filename or registry}: {error.strerror or error}; "
            f"`fraudsim model put MODEL --at {registry}` makes a registry"
        ) from None


def versions(registry: Path) -> list[str]:
    """All that are kept."""
    return sorted(path.parent.name for path in registry.glob(f"[0-9a-f]*/{MANIFEST_FILE}"))


def manifests(registry: Path) -> list[Manifest]:
    """Of every version that is kept, the last trained first. Raises FraudsimError where one is damaged."""
    found = [read_manifest(folder_of(registry, version)) for version in versions(registry)]
    return sorted(found, key=lambda each: (-each.test_from_ms, each.version))


@contextmanager
def _alone(registry: Path) -> Iterator[None]:
    """While nobody else changes this registry."""
    held = os.open(registry, os.O_RDONLY)
    try:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield
    finally:
        os.close(held)


def _write(registry: Path, aliases: Aliases) -> None:
    with tempfile.NamedTemporaryFile(prefix=f".{ALIASES_FILE}.", dir=registry, delete=False) as file:
        try:
            file.write(msgspec.json.format(msgspec.json.encode(aliases), indent=2) + b"\n")
            file.flush()
            os.fsync(file.fileno())
            os.chmod(file.name, 0o644)
            os.rename(file.name, registry / ALIASES_FILE)
        except BaseException:
            os.unlink(file.name)
            raise
