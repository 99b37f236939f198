"""The rules of the house: rooms and their sizes, import directions, names, words, who reads the truth."""

import ast
import re
import sys
from collections import defaultdict
from collections.abc import Iterator
from functools import lru_cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FLOORS = [
    {"fraudsim"},
    {"producers", "stream_features"},
    {"model", "scorer"},
    {"runner", "simulator", "load_tests", "dashboards"},
    {"lifecycle"},
    {"studies"},
    {"testing"},
]
LEVEL = {room: level for level, rooms in enumerate(FLOORS) for room in rooms}
# Within a floor, or upwards, one room may lean on another where the design draws it so.
NEIGHBOURS = {
    ("scorer", "model"),
    ("dashboards", "runner"),
    ("load_tests", "runner"),
    ("load_tests", "testing"),
}
MAY_READ_TRUTH = {"runner", "simulator", "dashboards", "lifecycle", "studies", "testing"}
# The schema of the truth, and the rooms that produce it.
NAMES_TRUTH = {"fraudsim", "producers"}

PLUG_INS = {"producers/typologies", "producers/datasets", "load_tests/rivals", "lifecycle/dags"}
"""Packages with a file for each implementation of one interface: any number of modules."""
FEWEST, MOST = 3, 12
MOST_LINES = 400
LONG_KERNELS = {"stream_features/kernels/tiled.py"}
"""numba's cache checks a function's own file, so what is compiled together stands in one."""


@lru_cache
def modules() -> dict[str, Path]:
    """Every module of the product by its dotted name; a package by its own."""
    paths = (path for room in LEVEL for path in sorted((ROOT / room).rglob("*.py")))
    return {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
        for path in paths
    }


@lru_cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def imports_of(path: Path) -> Iterator[str]:
    """Dotted names of imported modules, or of names in them."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_imports_between_rooms_run_one_way() -> None:
    wrong = []
    for module, path in modules().items():
        room = module.split(".")[0]
        for name in imports_of(path):
            other = name.split(".")[0]
            if other == room or other not in LEVEL or (room, other) in NEIGHBOURS:
                continue
            if LEVEL[other] >= LEVEL[room]:
                wrong.append(f"{name_of(path)} imports {name}")
    assert not wrong


def test_imports_between_packages_run_one_way() -> None:
    def package_of(module: str) -> str:
        """A module in a sub-package counts as the sub-package, one directly in a room as itself."""
        parts = module.split(".")
        is_package = modules()[module].name == "__init__.py"
        return module if is_package or len(parts) == 2 else ".".join(parts[:-1])

    uses: defaultdict[str, set[str]] = defaultdict(set)
    for module, path in modules().items():
        for name in imports_of(path):
            imported = name if name in modules() else name.rpartition(".")[0]
            if imported in modules() and modules()[imported].name != "__init__.py":
                uses[package_of(module)].add(package_of(imported))
    for package, used in uses.items():
        used.discard(package)
    try:
        TopologicalSorter(uses).prepare()
    except CycleError as error:
        pytest.fail(f"imports go round: {' <- '.join(error.args[1])}")


def test_a_package_holds_neither_one_file_nor_a_crowd() -> None:
    counts: defaultdict[str, int] = defaultdict(int)
    for path in modules().values():
        if path.name not in ("__init__.py", "__main__.py"):
            counts[name_of(path.parent)] += 1
    wrong = {
        package: count
        for package, count in counts.items()
        if package not in PLUG_INS and not (count <= MOST and (count >= FEWEST or "/" not in package))
    }
    assert not wrong


def test_no_file_has_grown_long() -> None:
    lengths = {name_of(path): len(path.read_text().splitlines()) for path in modules().values()}
    assert {name for name, lines in lengths.items() if lines > MOST_LINES} == LONG_KERNELS


def test_each_package_says_what_it_holds() -> None:
    packages = [path for path in modules().values() if path.name == "__init__.py"]
    assert not [name_of(path) for path in packages if not ast.get_docstring(tree(path))]


def test_no_two_classes_share_a_name() -> None:
    places = defaultdict(list)
    for path in modules().values():
        # Rivals are programs of others' frameworks, each in its own process.
        if "rivals" in path.parts:
            continue
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.ClassDef):
                places[node.name].append(name_of(path))
    assert not {name: paths for name, paths in places.items() if len(paths) > 1}


RETIRED = {
    "Judge": "Acceptance", "judge": "acceptance", "judged": "accepted",
    "Folder": "SlotStates", "Gatherer": "BatchFolder", "gatherer": "batch_folder", "Added": "PendingRows",
    "Applied": "Watermark", "Tail": "UnfoldedLog", "Pending": "InFlight", "Ahead": "Prefetch",
    "look_ahead": "prefetch", "Together": "MicroBatcher", "Places": "DailyQuota", "Lineup": "Roles",
    "lineup": "roles", "settle": "await_write, await_acks or resolve", "settled": "resolved",
    "its": "a noun", "told": "a noun", "said": "a noun", "each": "a noun", "more": "a noun",
    "those": "a noun", "theirs": "a noun", "them": "a noun", "there": "a noun", "here": "a noun",
    "who": "a noun", "some": "a noun",
    "made": "a noun", "found": "a noun", "given": "a noun", "asked": "a noun",
    "taken": "a noun", "wanted": "a noun", "known": "a noun",
    "place": "index, slot_index, position or location", "places": "indexes, positions or locations",
}  # fmt: skip
"""Names that the code does not use, and what it says instead (docs/architecture.md has the glossary)."""
FORMATS = {
    ("testing/contracts/aggregate.py", "given"),  # hypothesis's decorator
}
"""(file, name): a retired word that a format or a library dictates."""


def names_in(path: Path) -> Iterator[tuple[str, int]]:
    """Every name that a file defines or uses: variables, arguments, attributes, functions, classes."""
    for node in ast.walk(tree(path)):
        match node:
            case ast.Name():
                yield node.id, node.lineno
            case ast.arg():
                yield node.arg, node.lineno
            case ast.Attribute():
                yield node.attr, node.lineno
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                yield node.name, node.lineno
            case ast.keyword(arg=str()):
                yield str(node.arg), node.value.lineno


def test_no_retired_word_is_a_name() -> None:
    wrong = [
        f"{name_of(path)}:{line}: {name}, say {RETIRED[name.strip('_')]}"
        for path in modules().values()
        for name, line in names_in(path)
        if name.strip("_") in RETIRED and (name_of(path), name) not in FORMATS
    ]
    assert not wrong, "\n".join(sorted(set(wrong)))


RETIRED_MODULES = re.compile(
    r"added|ahead|applied|archived|gather|given|known|opening|published|settled|together|watching|cells|lineup|words"
)


def test_no_module_is_named_by_a_retired_word() -> None:
    stems = {name_of(path): path.stem for path in modules().values()}
    assert not [name for name, stem in stems.items() if RETIRED_MODULES.fullmatch(stem)]


def test_only_evaluation_reads_the_truth() -> None:
    wrong = []
    for module, path in modules().items():
        if module.split(".")[0] in MAY_READ_TRUTH | NAMES_TRUTH:
            continue
        for number, line in enumerate(path.read_text().splitlines(), 1):
            if re.search(r"\bTRUTH\b|\bTruth\b|decode_truth|truth\.parquet|\.truth\(|[\"']truth[\"']", line):
                wrong.append(f"{name_of(path)}:{number}: {line.strip()}")
    assert not wrong


def test_no_folder_on_the_path_holds_the_name_of_a_library() -> None:
    """The checkout stands on the path, and Locust puts the folder of its file there."""
    from tests.house.test_dependencies import declared, top_level

    taken = set(sys.stdlib_module_names).union(*map(top_level, declared()))
    on_the_path = {*LEVEL, *(path.stem for path in (ROOT / "load_tests").glob("*.py"))}
    assert not on_the_path & taken


def test_kafka_consumers_are_opened_in_one_module_only() -> None:
    consumers = {"KafkaConsumer", "AIOKafkaConsumer"}
    callers = {
        name_of(path)
        for path in modules().values()
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in consumers
    }
    assert {name for name in callers if "rivals" not in name} == {"fraudsim/log/consumer.py"}


def test_consoles_are_made_in_one_module_only() -> None:
    callers = {
        name_of(path)
        for path in modules().values()
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Console"
    }
    assert callers == {"fraudsim/process/terminal.py"}


def test_array_types_are_named_in_one_module_only() -> None:
    alias = r"^\w+ = npt\.NDArray\[np\.(?:bool_|int64|int32|float32|float64)\]"
    named = {name_of(path) for path in modules().values() if re.search(alias, path.read_text(), re.MULTILINE)}
    assert named == {"fraudsim/arrays.py"}
