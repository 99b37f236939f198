"""The rules of the house: who may import whom, who may read the truth, names, schemas, the lock."""

import ast
import importlib
import importlib.metadata
import re
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FLOORS = [
    {"fraudsim"},
    {"producers", "stream_features"},
    {"model", "scorer"},
    {"runner", "load_tests", "dashboards"},
    {"studies"},
    {"testing"},
]
LEVEL = {room: level for level, rooms in enumerate(FLOORS) for room in rooms}
# Within a floor, one room may lean on another where the design draws it so.
NEIGHBOURS = {
    ("scorer", "model"),
    ("dashboards", "runner"),
    ("load_tests", "runner"),
    ("load_tests", "testing"),
}
MAY_READ_TRUTH = {"runner", "dashboards", "studies", "testing", "tests"}
# The words themselves, and the rooms that make the truth.
NAMES_TRUTH = {"fraudsim", "producers"}


def modules():
    for room in LEVEL:
        yield from sorted((ROOT / room).rglob("*.py"))


def imports_of(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
            yield node.module


def test_imports_run_one_way():
    wrong = []
    for path in modules():
        room = path.relative_to(ROOT).parts[0]
        for name in imports_of(path):
            other = name.split(".")[0]
            if other == room or other not in LEVEL or (room, other) in NEIGHBOURS:
                continue
            if LEVEL[other] >= LEVEL[room]:
                wrong.append(f"{path.relative_to(ROOT)} imports {name}")
    assert not wrong


def test_only_those_who_evaluate_read_the_truth():
    wrong = []
    for path in modules():
        room = path.relative_to(ROOT).parts[0]
        if room in MAY_READ_TRUTH | NAMES_TRUTH:
            continue
        for number, line in enumerate(path.read_text().splitlines(), 1):
            if re.search(r"\bTRUTH\b|\bTruth\b|decode_truth|truth\.parquet|\.truth\(|[\"']truth[\"']", line):
                wrong.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()}")
    assert not wrong


OWN_LOCKS = {extra: f"requirements-{extra}.lock" for extra in ("spark", "bench-http", "bench-mlserver")}
"""Extras that `make setup` leaves out, and where they are pinned."""


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


def test_no_module_bears_the_name_of_a_dependency_or_of_the_standard_library():
    taken = set(sys.stdlib_module_names)
    for name in declared():
        taken |= top_level(name)
    mine = {path.stem for path in modules() if path.stem not in ("__init__", "__main__")} | set(LEVEL)
    # Inside a package a name shadows only where the folder itself is put on the path, as Locust does.
    assert not {name for name in mine if name in taken}


@pytest.mark.parametrize("name", declared())
def test_every_declared_dependency_can_be_imported(name):
    candidates = top_level(name) - {"tests", "test", "docs", "examples", "benchmarks"}
    # Faust replaces its module when it is imported, and leaves it no spec.
    assert any(module in sys.modules or importlib.util.find_spec(module) for module in candidates), name


def test_the_committed_schemas_are_those_of_the_events():
    from fraudsim.log.schemas import drifted_events

    assert drifted_events() == []


def of_extra(extra):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return names_of(project["optional-dependencies"][extra])


@pytest.mark.parametrize(
    ("file", "names"),
    [("requirements.lock", declared()), *((file, of_extra(extra)) for extra, file in OWN_LOCKS.items())],
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


def test_every_command_says_what_it_does():
    from typer.main import get_command

    from fraudsim.cli import build

    def walk(command, path):
        assert command.help, path
        for name, child in getattr(command, "commands", {}).items():
            walk(child, f"{path} {name}")

    walk(get_command(build()), "fraudsim")
