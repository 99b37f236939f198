"""A second version of a model, for tests that need two."""

import dataclasses
import shutil
from pathlib import Path

import msgspec

from model.artefact.files import MANIFEST_FILE, read_manifest
from model.artefact.manifest import seal, to_json


def another_version(model: Path, folder: Path) -> Path:
    """Copy a model's folder to `folder`, with another threshold; returns `folder`."""
    shutil.copytree(model, folder)
    manifest = read_manifest(folder)
    lower = dataclasses.replace(manifest.thresholds, step_up=manifest.thresholds.step_up * 0.99)
    changed = seal(msgspec.structs.replace(manifest, thresholds=lower))
    (folder / MANIFEST_FILE).write_bytes(to_json(changed))
    return folder
