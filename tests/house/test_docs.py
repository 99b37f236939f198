"""What the docs name is there: files, links, commands, settings, metrics, targets of make."""

import re
import shlex
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml

from fraudsim import metrics
from fraudsim.cli import build
from fraudsim.settings import PREFIX, Settings
from producers.labels.consequences import Consequences
from producers.labels.delays import LabelDelays
from producers.world.config import WorldConfig
from studies.value.footprint import Footprint
from tests.house.test_rooms import ROOT, modules

PAGES = sorted(
    path
    for pattern in ("*.md", "docs/**/*.md")
    for path in ROOT.glob(pattern)
    if path.name != "CHANGELOG.md"  # it also names what has been removed
)
ENVIRONMENTS = [ROOT / "docker-compose.yml", ROOT / ".env.example", ROOT / "Makefile", ROOT / "Dockerfile"]
OUTSIDE_SETTINGS = {
    "LOAD_RATE",
    "LOAD_ARRIVALS",
    "LOAD_SECONDS",
    "LOAD_PLAN",
    "BENCH_GIVEN",
    "PROMETHEUS",
    "PROMTOOL",
}
"""Variables of load tests and of `make prometheus`, which no process of the line reads."""
NESTED = {
    "WORLD": WorldConfig, "LABEL_DELAYS": LabelDelays, "CONSEQUENCES": Consequences, "FOOTPRINT": Footprint,
}  # fmt: skip
"""Settings that hold parameters by name, and the class whose fields these are."""


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


page = pytest.mark.parametrize("path", PAGES, ids=named)


def fenced(text: str) -> list[str]:
    """The lines of fenced code; a line that ends in a backslash together with the next one."""
    blocks = re.findall(r"^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return "\n".join(blocks).replace("\\\n", " ").splitlines()


def quoted(text: str) -> list[str]:
    """Code in backticks, outside of fenced code."""
    prose = re.sub(r"^```\w*\n.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    return [" ".join(code.split()) for code in re.findall(r"`([^`]+)`", prose)]


def code_of(path: Path) -> list[str]:
    text = path.read_text()
    return [*fenced(text), *quoted(text)]


@lru_cache
def file_names() -> frozenset[str]:
    return frozenset(path.name for path in (*modules().values(), *ROOT.glob("tests/**/*.py")))


def missing_files(code: list[str]) -> list[str]:
    """Python files that are named and not there: by their path from the root, or by their name alone."""
    names = {name for line in code for name in re.findall(r"(?<![\w./…-])[\w./-]+\.py\b", line)} - {
        "setup.py"
    }
    return sorted(
        name for name in names if not ((ROOT / name).exists() if "/" in name else name in file_names())
    )


@page
def test_every_file_and_link_is_there(path: Path) -> None:
    text = path.read_text()
    assert not missing_files(code_of(path))
    links = re.findall(r"\]\((?!https?:)([^)#]+)", text)
    assert not [link for link in links if not (path.parent / link).exists()]
    others = re.findall(r"`((?:docs|dashboards|tests|scorer|fraudsim|load_tests)/[\w./-]+)`", text)
    assert not [other for other in others if not (ROOT / other).exists()]


@pytest.mark.parametrize("name", ["README.md", "docs/architecture.md", "docs/kernels.md"])
def test_drawings_and_commands_fit_into_eighty_columns(name: str) -> None:
    blocks = re.findall(r"^```\w*\n(.*?)^```", (ROOT / name).read_text(), re.MULTILINE | re.DOTALL)
    own = [block for block in blocks if not block.startswith("· ")]  # what `demo` printed stays as it was
    assert own
    assert not [line for block in own for line in block.splitlines() if len(line) > 80]


def test_every_page_that_a_docstring_or_a_comment_names_is_there() -> None:
    wrong = [
        f"{named(path)}: {name}"
        for path in modules().values()
        for name in re.findall(r"\bdocs/[\w/-]+\.md", path.read_text())
        if not (ROOT / name).exists()
    ]
    assert not wrong


# Commands


@lru_cache
def root_command() -> Any:
    return typer.main.get_command(build())


SERVICES = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
OURS = {name for name, service in SERVICES.items() if "fraudsim" in str(service.get("image", ""))}


def commands_in(line: str) -> Iterator[list[str]]:
    """The arguments of each `fraudsim` command in a line of code, compose's `run SERVICE …` among them."""
    line = re.split(r"\s{2,}(?!-)|\s#", line.strip())[0]
    line = re.sub(r"\$\([^)]*\)", "X", line).replace("[", "").replace("]", "")  # brackets: may be left out
    if match := re.match(r"(?:\S+=\S* )*(?:\.venv/bin/)?fraudsim (.*)", line):
        first, *others = match[1].split(" | ")  # `model put | list` names two commands
        yield shlex.split(first)
        yield from ([*shlex.split(first)[:-1], *shlex.split(other)] for other in others)
    if re.match(r"docker compose run ", line) and "--entrypoint" not in line:
        words = shlex.split(line)
        service = next((i for i, word in enumerate(words) if word in OURS), None)
        if service is not None and words[service + 1 :]:
            yield words[service + 1 :]


def fault(words: list[str]) -> str:
    """What is wrong with a command: no such command, option or argument; empty for nothing."""
    command = root_command()
    rest = list(words)
    while hasattr(command, "commands") and rest and not rest[0].startswith("-"):
        if rest[0] not in command.commands:
            return f"no command {rest[0]}" if rest[0] != "…" and not rest[0].isupper() else ""
        command = command.commands[rest.pop(0)]
    options = {opt: p for p in command.params for opt in (*p.opts, *p.secondary_opts)}
    positional = 0
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    takes_rest = any(p.nargs == -1 for p in arguments)
    while rest:
        word = rest.pop(0)
        if word == "--" or (takes_rest and not word.startswith("-")):
            break
        if not word.startswith("-"):
            positional += word != "…"
        elif word != "--help":
            option = options.get(word.partition("=")[0])
            if option is None:
                return f"no option {word}"
            takes_value = not (getattr(option, "is_flag", False) or "=" in word)
            if takes_value and rest:
                rest.pop(0)
    return f"{positional} arguments" if positional > len(arguments) and not takes_rest else ""


@page
def test_every_command_and_its_options_are_real(path: Path) -> None:
    commands = [words for line in code_of(path) for words in commands_in(line)]
    assert not [(" ".join(words), fault(words)) for words in commands if fault(words)]


def test_every_command_that_the_code_tells_people_to_run_is_real() -> None:
    wrong = []
    for path in (*modules().values(), *ROOT.glob("tests/**/*.py")):
        text = re.sub(r'"\s*f?"', "", path.read_text())  # a message on several lines
        for code in re.findall(r"(?<!`)`(fraudsim [^`\n]+)`", text):
            for words in commands_in(re.sub(r"\{[^}]*\}", "X", code)):
                if fault(words):
                    wrong.append((named(path), code, fault(words)))
    assert not wrong


def test_a_command_that_is_not_there_is_reported() -> None:
    assert [*commands_in(".venv/bin/fraudsim model put MODEL --at DIR   # words")] == [
        ["model", "put", "MODEL", "--at", "DIR"]
    ]
    assert fault(["model", "put", "MODEL", "--at", "DIR"]) == ""
    assert fault(["model", "praise", "MODEL"]) == "no command praise"
    assert fault(["model", "put", "MODEL", "--into", "DIR"]) == "no option --into"
    assert fault(["model", "rollback", "MODEL", "OTHER"]) == "2 arguments"
    assert [*commands_in("fraudsim model put | list")] == [["model", "put"], ["model", "list"]]
    assert [*commands_in("docker compose run --rm prepare model list")] == [["model", "list"]]
    assert sum(len([*commands_in(line)]) for path in PAGES for line in code_of(path)) > 50


@page
def test_every_module_that_is_run_and_every_target_of_make_is_there(path: Path) -> None:
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for line in code_of(path):
        for name in re.findall(r"python3? -m (\w+\.[\w.]+)", line):
            assert name in modules()
        for name in re.findall(r"(?:^|&& )make ([a-z-]+)", line):
            assert name in targets


# Settings and metrics


def unknown_settings(text: str) -> list[str]:
    """Variables that are named and that no setting has."""
    known = {PREFIX + name.upper() for name in (*Settings.model_fields, *OUTSIDE_SETTINGS)}
    known |= {
        f"{PREFIX}{setting}__{name.upper()}"
        for setting, parameters in NESTED.items()
        for name in (*parameters.__dataclass_fields__, "NAME")
    }
    return sorted(set(re.findall(rf"\b{PREFIX}[A-Z0-9_]*[A-Z0-9]\b", text)) - known)


@pytest.mark.parametrize("path", [*PAGES, *ENVIRONMENTS], ids=named)
def test_every_setting_that_is_named_exists(path: Path) -> None:
    assert not unknown_settings(path.read_text())


def test_every_setting_that_the_code_names_exists() -> None:
    wrong = {
        named(path): names for path in modules().values() if (names := unknown_settings(path.read_text()))
    }
    assert not wrong


def test_a_setting_that_is_not_there_is_reported() -> None:
    text = "FRAUDSIM_SLOTS FRAUDSIM_WORLD__CARDS FRAUDSIM_SLOT FRAUDSIM_WORLD__SPEED_OF_LIGHT"
    assert unknown_settings(text) == ["FRAUDSIM_SLOT", "FRAUDSIM_WORLD__SPEED_OF_LIGHT"]


def test_every_metric_that_the_docs_name_exists() -> None:
    known = {name for names in metrics.registry._collector_to_names.values() for name in names}
    rules = (ROOT / "dashboards" / "prometheus" / "rules").glob("*.yml")
    known |= {name for path in rules for name in re.findall(r"record: (\S+)", path.read_text())}
    counters = {name.removesuffix("_total") for name in known if name.endswith("_total")}
    found = {
        (named(path), name)
        for path in PAGES
        for code in code_of(path)
        for name in re.findall(r"\b(?:\w+:)?fraudsim_[a-z_]+(?::\w+)?", code)
    }
    assert len(found) > 20
    assert not sorted(entry for entry in found if entry[1] not in known - counters)


# Words of the logs

LOGGED_BY = {"scorer": ("scorer",), "features": ("stream_features/worker",)}
"""Where the code of a compose service stands whose log the runbooks name words of."""


def logged_words() -> Iterator[tuple[str, str, str]]:
    """(runbook, service, word) of every word that a runbook tells to look for in a service's log."""
    for path in sorted((ROOT / "docs" / "runbooks").glob("*.md")):
        rows = re.findall(
            r"^\| `docker compose logs [^`]* (\S+)` \|[^|]*\|([^|]*)\|$", path.read_text(), re.M
        )
        for service, words in rows:
            yield from ((path.name, service, word) for word in re.findall(r"`(\w+)`", words))


def test_every_word_that_a_runbook_looks_for_in_a_log_is_logged_there() -> None:
    sources = {
        service: "".join(
            path.read_text() for path in modules().values() if named(path).startswith(tuple(rooms))
        )
        for service, rooms in LOGGED_BY.items()
    }
    words = [*logged_words()]
    assert len(words) > 10
    assert not [entry for entry in words if not re.search(rf'\w\(\s*"{entry[2]}"', sources[entry[1]])]
