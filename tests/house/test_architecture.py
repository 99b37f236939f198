"""docs/architecture.md: its rooms, the stops of a transaction and the glossary are those of the code."""

import ast
import re

from tests.house.test_rooms import LEVEL, ROOT, modules, tree

TEXT = (ROOT / "docs" / "architecture.md").read_text()
STOPS = re.findall(r"^(\d+)\. `([\w/.]+)` `([\w.]+)`: ", TEXT, re.MULTILINE)
WORDS = re.findall(r"^\| ([^|`]+) \| [^|]+ \| `([\w/.]+)` \|$", TEXT.split("## Glossary")[1], re.MULTILINE)


def definitions(path: str) -> set[str]:
    """Functions, classes and their methods, by dotted name."""
    names = set()
    for node in tree(ROOT / path).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            names.add(node.name)
        if isinstance(node, ast.ClassDef):
            functions = (
                item for item in node.body if isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef)
            )
            names |= {f"{node.name}.{function.name}" for function in functions}
    return names


def test_the_path_has_thirty_stops_at_most_and_each_is_there() -> None:
    assert [int(number) for number, _, _ in STOPS] == [*range(1, len(STOPS) + 1)]
    assert 20 <= len(STOPS) <= 30
    assert not [stop for stop in STOPS if stop[2] not in definitions(stop[1])]


def test_every_room_and_package_is_listed() -> None:
    listed = set(re.findall(r"`(\w+)/`", TEXT.split("## The path")[0]))
    benches = {"features", "http", "stream", "worker", "kernel", "producers", "scorer", "engines"}
    packages = {path.parent.name for path in modules().values() if path.name == "__init__.py"}
    assert packages - listed - benches == set()
    assert set(LEVEL) <= listed


def test_the_glossary_is_in_alphabetical_order_and_its_files_are_there() -> None:
    words = [word.strip() for word, _ in WORDS]
    assert len(words) > 60
    assert words == sorted(words)
    assert not [path for _, path in WORDS if not (ROOT / path).exists()]
