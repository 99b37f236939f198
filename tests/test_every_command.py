"""Every command of the console script, where the machine is not as its authors' was.

The commands are found from the script itself. Whatever is wrong, a command says so in one line, with exit
code 2; it never ends in a traceback, and does not hang.
"""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import typer

from fraudsim.cli import build

LIMIT_S = 20.0
"""A command that has not ended by then hangs."""

FILES = {"json", "svg", "file", "tx_id"}
"""Parameters where a file is due; other paths are folders."""
RESULTS = {"out", "json", "svg"}
"""Parameters that name what a command writes."""
VALUES = {
    "share": "0.1", "entity": "card", "key": "c1", "command": "true", "version": "0123", "tx_id": "t1",
    "name": "1", "step_name": "train",
    "rate": "1", "seconds": "1", "before": "0123", "after": "0124", "a": "http://127.0.0.1:1", "b": "http://127.0.0.1:1",
}  # fmt: skip
"""A value for each required parameter that is no path."""
ANSWERS = {"stack down": 0, "stack status": 1}
"""Commands whose answer is that nothing runs, with its exit code."""
WORK = {"compile"}
"""Commands that need nothing of all this, and work for a minute."""


def commands() -> dict[str, Any]:
    """Every command by its words."""

    def below(command: Any, words: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
        if hasattr(command, "commands"):
            for name, child in command.commands.items():
                yield from below(child, (*words, name))
        else:
            yield " ".join(words), command

    return dict(sorted(below(typer.main.get_command(build()), ())))


COMMANDS = commands()


class Machine(NamedTuple):
    """Where a command runs: its paths, its variables, its folder."""

    path_of: Callable[[str], str]
    """From the name of a parameter to the path that it gets."""
    env: dict[str, str]
    folder: Path
    encoding: str = "utf-8"
    plain_user: bool = False
    """Whether the command obeys the permissions of files even where the tests run as root."""


@pytest.fixture(scope="session")
def closed_port() -> Iterator[int]:
    with socket.socket() as bound:  # bound, so nobody else takes it, and not listening
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


@pytest.fixture(scope="session")
def silent_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0), backlog=500) as server:  # the kernel accepts; nobody answers
        yield server.getsockname()[1]


class Outcomes:
    """The ends of all commands that this session tries, side by side, since most wait for a server."""

    def __init__(self, requests: dict[str, dict[str, Any]]) -> None:
        self.requests = requests
        self._outcomes: dict[str, dict[str, Any]] = {}
        self._runner = subprocess.Popen(
            [sys.executable, "-m", "tests.command_runner"], cwd=Path(__file__).parents[1],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self._runner.stdin is not None
        self._runner.stdin.writelines(json.dumps({"id": id, **r}) + "\n" for id, r in requests.items())
        self._runner.stdin.close()

    def of(self, id: str) -> dict[str, Any]:
        assert self._runner.stdout is not None
        while id not in self._outcomes:
            reply = json.loads(self._runner.stdout.readline())
            self._outcomes[reply["id"]] = reply
        return self._outcomes[id]

    def close(self) -> None:
        self._runner.kill()
        self._runner.wait()


@pytest.fixture(scope="session")
def outcomes(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    closed_port: int,
    silent_port: int,
) -> Iterator[Outcomes]:
    requests = {}
    for item in request.session.items:
        parameters = getattr(getattr(item, "callspec", None), "params", {})
        if "situation" not in parameters:
            continue
        name, situation = parameters["name"], parameters["situation"]
        folder = tmp_path_factory.mktemp("machine")
        machine = situation(folder, silent_port if situation is silent_servers else closed_port)
        requests[f"{name} {situation.__name__}"] = {
            "words": words_of(name, machine), "env": machine.env, "folder": str(machine.folder),
            "encoding": machine.encoding, "limit_s": LIMIT_S, "plain_user": machine.plain_user,
        }  # fmt: skip
    everything = Outcomes(requests)
    yield everything
    everything.close()


def environment(port: int, paths: str, **variables: str) -> dict[str, str]:
    """The variables of a machine whose servers are away, and whose folders are at `paths`."""
    return {
        "PATH": os.environ["PATH"],
        "FRAUDSIM_KAFKA_BOOTSTRAP": f"127.0.0.1:{port}",
        "FRAUDSIM_REDIS_URL": f"redis://127.0.0.1:{port}/0",
        "FRAUDSIM_HTTP_PORT": str(port),
        "FRAUDSIM_PAGE_PORT": str(port),
        "FRAUDSIM_RUNS_DIR": paths,
        "FRAUDSIM_CACHE_DIR": paths,
        "FRAUDSIM_MODEL_DIR": paths,
        "FRAUDSIM_POLICY": paths,
        **variables,
    }


def nothing_there(folder: Path, port: int) -> Machine:
    """No home, and every path is missing in a place where nothing can be written."""
    return Machine(lambda name: f"/proc/none/{name}", environment(port, "/proc/none"), Path("/proc"))


def below_a_file(folder: Path, port: int) -> Machine:
    """Every path leads through a file; the locale is a foreign one, and ASCII is all that it can show."""
    (folder / "file").write_text("x")
    env = environment(port, str(folder / "file" / "below"), LC_ALL="tr_TR.ISO-8859-9", LANG="C")
    return Machine(lambda name: str(folder / "file" / name), env, folder, "ascii")


def the_other_kind(folder: Path, port: int) -> Machine:
    """A folder where a file is due, and a file with nonsense where a folder is."""
    (folder / "folder").mkdir()
    (folder / "file").write_bytes(b"\xff\xfe\x00 no such thing \n")

    def path_of(name: str) -> str:
        return str(folder / ("folder" if name in FILES else "file"))

    return Machine(path_of, environment(port, str(folder / "file"), HOME=str(folder / "file")), folder)


def nonsense(folder: Path, port: int) -> Machine:
    """A file with nonsense in every place, and as .env."""
    (folder / "file.csv").write_bytes(b"\xff\xfe\x00 no such thing \n" * 3)
    (folder / ".env").write_bytes(b"FRAUDSIM_SEED=\xff\xfe\nno such thing\n")

    def path_of(name: str) -> str:
        return "/proc/none/x" if name in RESULTS else str(folder / "file.csv")

    return Machine(path_of, environment(port, str(folder / "file.csv")), folder)


def a_loop(folder: Path, port: int) -> Machine:
    """Paths that cannot be read by anybody: links that lead to themselves."""
    (folder / "loop").symlink_to(folder / "loop")
    env = environment(port, str(folder / "loop"), HOME=str(folder / "loop"))
    return Machine(lambda name: str(folder / "loop"), env, folder)


def forbidden(folder: Path, port: int) -> Machine:
    """Files and folders that nobody may read, in a folder that nobody may write into."""
    (folder / "theirs").mkdir()
    (folder / "theirs" / "file").write_text("x")
    (folder / "theirs").chmod(0)
    folder.chmod(0o500)
    paths = str(folder / "theirs" / "file")
    return Machine(lambda name: paths, environment(port, paths, HOME=paths), folder, plain_user=True)


def silent_servers(folder: Path, port: int) -> Machine:
    """Servers that accept connections and say nothing."""
    return Machine(lambda name: f"/proc/none/{name}", environment(port, "/proc/none"), folder)


MACHINES = [nothing_there, below_a_file, the_other_kind, nonsense, a_loop, forbidden, silent_servers]


def words_of(name: str, machine: Machine) -> list[str]:
    """A command line with every parameter that is required or a path."""
    words = name.split()
    arguments = []
    for parameter in COMMANDS[name].params:
        annotation = getattr(getattr(parameter, "type_descriptor", None), "annotation", None)
        is_path = annotation is not None and "Path" in str(annotation)
        if not (is_path or parameter.required):
            continue
        value = machine.path_of(parameter.name) if is_path else VALUES[parameter.name]
        if parameter.opts[0].startswith("-"):
            words += [parameter.opts[0], value]
        else:
            arguments.append(value)
    return words + arguments


@pytest.mark.parametrize("situation", MACHINES, ids=lambda situation: situation.__name__)
@pytest.mark.parametrize("name", sorted(COMMANDS.keys() - WORK))
def test_what_is_wrong_is_said_in_one_line(
    name: str, situation: Callable[[Path, int], Machine], outcomes: Outcomes
) -> None:
    id = f"{name} {situation.__name__}"
    outcome = outcomes.of(id)
    if outcome["code"] == ANSWERS.get(name):
        return
    problem = problem_of(outcome)
    words = " ".join(outcomes.requests[id]["words"])
    assert problem is None, f"{words}: {problem}\n{outcome['err'][-3000:]}"


def problem_of(outcome: dict[str, Any]) -> str | None:
    """What is wrong with the end of a command; None if nothing is."""
    code, lines = outcome["code"], outcome["err"].splitlines()
    if code is None:
        return "it hangs"
    if code == 0:
        return f"it succeeds, and prints {lines[0]!r}" if lines else None
    # What a process logs before is no message for people, and is JSON.
    messages = [line for line in lines if not line.startswith("{")]
    if code != 2 or len(messages) != 1 or not messages[0].startswith("error: "):
        return f"exit code {code}, {len(messages)} lines, the last: {messages[-1:]}"
    return None
