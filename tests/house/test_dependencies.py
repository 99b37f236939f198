"""Dependencies: each can be imported, and the locks pin them by hash and without addresses."""

import importlib
import importlib.metadata
import re
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OWN_LOCKS = {
    extra: f"requirements-{extra}.lock"
    for extra in ("spark", "tune", "zoo", "browser", "bench-http", "bench-mlserver")
}
"""Extras that `make setup` leaves out, and where they are pinned."""
GROUPS = {group: f"requirements-{group}.lock" for group in ("bench-features", "airflow")}
"""Groups for environments of their own, and where they are pinned."""


def names_of(requirements):
    return sorted({re.split(r"[<>=!;\[ ]", text)[0].lower() for text in requirements})


def declared():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    every = [d for extra, its in extras.items() if extra not in OWN_LOCKS for d in its]
    return names_of([*project["dependencies"], *every])


def top_level(distribution):
    found = importlib.metadata.distribution(distribution)
    names = {file.parts[0].removesuffix(".py") for file in found.files or [] if str(file).endswith(".py")}
    return {name for name in names if name.isidentifier()}


@pytest.mark.parametrize("name", declared())
def test_every_declared_dependency_can_be_imported(name):
    candidates = top_level(name) - {"tests", "test", "docs", "examples", "benchmarks"}
    # Faust replaces its module when it is imported, and leaves it no spec.
    assert any(module in sys.modules or importlib.util.find_spec(module) for module in candidates), name


def of_extra(extra):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return names_of(project["optional-dependencies"][extra])


def of_group(group):
    return names_of(tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"][group])


@pytest.mark.parametrize(
    ("file", "names"),
    [
        ("requirements.lock", declared()),
        *((file, of_extra(extra)) for extra, file in OWN_LOCKS.items()),
        *((file, of_group(group)) for group, file in GROUPS.items()),
    ],
)
def test_a_lock_has_hashes_and_no_addresses_and_every_dependency_declared_for_it(file, names):
    lock = (ROOT / file).read_text()
    assert "://" not in lock
    pinned = re.findall(r"^([a-z0-9-]+)==\S+.*\\$", lock, re.MULTILINE)
    assert lock.count("==") == len(re.findall(r"==[^\n]*\\\n    --hash=sha256:", lock)) + lock.count(" == '")
    assert set(names) <= set(pinned)


def test_what_make_setup_leaves_out_is_not_in_its_lock():
    lock = (ROOT / "requirements.lock").read_text()
    for extra in OWN_LOCKS:
        only_there = set(of_extra(extra)) - set(declared())
        assert not [name for name in only_there if f"\n{name}==" in lock]
