"""A registry of models on disk: a folder for each version, which never changes, and the roles `aliases.json`.

The alias file is replaced by renaming, so a reader sees either the old state or the new one.
"""

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec

from fraudsim.errors import FraudsimError
from fraudsim.whole_files import whole_folder, write_whole
from model.artefact.files import MANIFEST_FILE, load_model, read_manifest
from model.artefact.manifest import Manifest
from model.registry.aliases import Aliases, check_aliases
from model.registry.audit import PROGRAM, Cause, append_entry

ALIASES_FILE: Final = "aliases.json"


def is_registry(folder: Path) -> bool:
    """Whether a folder is a registry rather than a single model."""
    return (folder / ALIASES_FILE).exists()


def read_aliases(registry: Path) -> Aliases:
    """The roles of the versions.

    Raises:
        FraudsimError: the file is missing or contradicts itself; one line that names the field.
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
    """The folder of a version."""
    return registry / version


def add_version(model: Path, registry: Path) -> tuple[Manifest, Aliases]:
    """Check a model and copy it into a registry. A new registry is created, with the model as its champion.

    A version that the registry already has is checked and left as it is.

    Raises:
        FraudsimError: `model` cannot be served, or the registry cannot be written.
    """
    registry = registry.absolute()
    if (registry / MANIFEST_FILE).exists():
        raise FraudsimError(
            f"models {registry}: it is a single model, no registry; name another folder by --at, "
            "and have FRAUDSIM_MODEL_DIR name it too"
        )
    manifest = load_model(model).manifest
    try:
        registry.mkdir(parents=True, exist_ok=True)
        with _locked(registry):
            folder = folder_of(registry, manifest.version)
            if folder.exists():
                load_model(folder)  # a damaged version is refused here, not by the scorer
            else:
                with whole_folder(folder) as copy:
                    shutil.copytree(model, copy, dirs_exist_ok=True)
                    load_model(copy)  # the source may have changed during the copy
            if is_registry(registry):
                return manifest, read_aliases(registry)
            aliases = Aliases(champion=manifest.version)
            _write_aliases(registry, aliases)
            append_entry(registry, None, aliases, Cause(actor="model put", reason="the first version"))
            return manifest, aliases
    except OSError as error:
        raise FraudsimError(f"models {error.filename or registry}: {error.strerror or error}") from None


def change_aliases(registry: Path, change: Callable[[Aliases], Aliases], cause: Cause = PROGRAM) -> Aliases:
    """Apply a change to the aliases under the registry's lock, and record it. Returns the new aliases.

    Raises:
        FraudsimError: what `change` raises; or the file cannot be read or written.
    """
    try:
        with _locked(registry):
            before = read_aliases(registry)
            after = change(before)
            if after != before:
                check_aliases(after, str(registry / ALIASES_FILE))
                _write_aliases(registry, after)
                append_entry(registry, before, after, cause)
            return after
    except OSError as error:
        raise FraudsimError(
            f"models {error.filename or registry}: {error.strerror or error}; "
            f"`fraudsim model put MODEL --at {registry}` makes a registry"
        ) from None


def list_versions(registry: Path) -> list[str]:
    """Every version in the registry, sorted."""
    return sorted(path.parent.name for path in registry.glob(f"[0-9a-f]*/{MANIFEST_FILE}"))


def load_manifests(registry: Path) -> list[Manifest]:
    """The manifest of every version, the last trained first. Raises FraudsimError if one is damaged."""
    manifests = [read_manifest(folder_of(registry, version)) for version in list_versions(registry)]
    return sorted(manifests, key=lambda manifest: (-manifest.test_from_ms, manifest.version))


@contextmanager
def _locked(registry: Path) -> Iterator[None]:
    """Hold the registry's lock against other processes."""
    descriptor = os.open(registry, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _write_aliases(registry: Path, aliases: Aliases) -> None:
    content = msgspec.json.format(msgspec.json.encode(aliases), indent=2) + b"\n"
    write_whole(registry / ALIASES_FILE, content, durable=True)
