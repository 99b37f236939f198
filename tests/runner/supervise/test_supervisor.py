import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from fraudsim.errors import FraudsimError
from fraudsim.polling import poll_until
from runner.supervise.reaper import start_token
from runner.supervise.supervisor import Backoff, Event, Part, Supervisor

ENV = dict(os.environ)


def shell(name: str, script: str, **options: object) -> Part:
    return Part(name, ["sh", "-c", script], ENV, **options)  # type: ignore[arg-type]


def sleeper(name: str, **options: object) -> Part:
    return Part(name, ["sleep", "600"], ENV, **options)  # type: ignore[arg-type]


@pytest.fixture
def events() -> list[tuple[str, Event]]:
    return []


@pytest.fixture
def supervisor(tmp_path: Path, events: list[tuple[str, Event]]) -> Iterator[Supervisor]:
    backoff = Backoff(first_s=0.02, longest_s=0.1)
    with Supervisor(
        tmp_path / "logs", backoff=backoff, on_event=lambda name, event: events.append((name, event))
    ) as supervisor:
        yield supervisor


def test_a_killed_part_is_restarted_and_counted(
    supervisor: Supervisor, events: list[tuple[str, Event]]
) -> None:
    first = supervisor.start(sleeper("one"))
    os.kill(first, signal.SIGKILL)
    assert poll_until(lambda: supervisor.pid("one") not in (None, first), 5)
    assert supervisor.restarts == {"one": 1}
    assert poll_until(lambda: ("one", "restarted") in events, 5)
    assert [event for _, event in events] == ["started", "died", "restarted"]


def test_a_death_is_noticed_within_milliseconds(supervisor: Supervisor) -> None:
    pid = supervisor.start(sleeper("one"))
    killed = time.monotonic()
    os.kill(pid, signal.SIGKILL)
    assert poll_until(lambda: supervisor.pid("one") != pid, 5, every_s=0.001)
    assert time.monotonic() - killed < 1.0


def test_a_part_that_keeps_dying_is_given_up_with_its_last_lines(supervisor: Supervisor) -> None:
    supervisor.start(shell("broken", "echo no such luck; exit 3"))
    assert supervisor.wait("broken", 10) == 3
    assert "exit code 3 for the 5th time in a row" in supervisor.failed["broken"]
    assert "no such luck" in supervisor.failed["broken"]
    assert supervisor.restarts["broken"] == 4


def test_the_delay_doubles_up_to_its_limit() -> None:
    backoff = Backoff()
    assert [backoff.delay_s(deaths) for deaths in (1, 2, 3, 7, 9)] == [0.1, 0.2, 0.4, 5.0, 5.0]


def test_health_clears_earlier_deaths(tmp_path: Path) -> None:
    backoff = Backoff(first_s=0.01, healthy_s=0.0, attempts=2)
    with Supervisor(tmp_path, backoff=backoff) as supervisor:
        supervisor.start(shell("short", "exit 1"))
        assert poll_until(lambda: supervisor.restarts["short"] >= 5, 10)
        assert not supervisor.failed


def test_a_part_that_is_not_to_be_restarted_is_just_done(
    supervisor: Supervisor, events: list[tuple[str, Event]]
) -> None:
    supervisor.start(shell("task", "exit 0", restart=False))
    assert supervisor.wait("task", 5) == 0
    assert not supervisor.failed
    assert events[-1] == ("task", "done")
    supervisor.start(shell("task", "exit 4", restart=False))
    assert supervisor.wait("task", 5) == 4
    assert "task ended with exit code 4" in supervisor.failed["task"]


def test_parts_end_in_the_reverse_order_of_their_start(
    supervisor: Supervisor, events: list[tuple[str, Event]]
) -> None:
    pids = [supervisor.start(sleeper(name)) for name in ("one", "two", "three")]
    supervisor.stop_all()
    assert [name for name, event in events if event == "stopped"] == ["three", "two", "one"]
    assert not any(start_token(pid) for pid in pids)


def test_a_part_that_ignores_the_stop_signal_is_killed(supervisor: Supervisor) -> None:
    supervisor.start(shell("deaf", "trap '' TERM; echo ready; sleep 600 & wait", stop_timeout_s=0.2))
    assert poll_until(lambda: supervisor.last_output("deaf") == ["ready"], 5)
    supervisor.stop("deaf")
    assert supervisor.wait("deaf", 0) == -signal.SIGKILL


def test_a_part_waiting_for_its_restart_can_be_stopped(tmp_path: Path) -> None:
    with Supervisor(tmp_path, backoff=Backoff(first_s=60, longest_s=60)) as supervisor:
        supervisor.start(shell("broken", "exit 1"))
        assert poll_until(lambda: supervisor.pid("broken") is None, 5)
        supervisor.stop("broken")
        assert supervisor.wait("broken", 0) == 1


def test_what_a_dead_part_left_behind_is_ended(
    supervisor: Supervisor, all_gone: Callable[[list[int]], bool]
) -> None:
    supervisor.start(shell("parent", "sleep 600 & echo $!; exit 0", restart=False))
    supervisor.wait("parent", 5)
    assert all_gone([int(supervisor.last_output("parent")[0])])


def test_output_of_every_run_is_kept_in_the_log(supervisor: Supervisor) -> None:
    for word in ("first", "second"):
        supervisor.start(shell("talker", f"echo {word}; echo {word} error >&2", restart=False))
        supervisor.wait("talker", 5)
    assert supervisor.log("talker").read_text() == "first\nfirst error\nsecond\nsecond error\n"
    assert supervisor.last_output("talker") == ["second", "second error"]


def test_a_part_has_its_environment_and_its_niceness(supervisor: Supervisor) -> None:
    supervisor.start(shell("asker", 'echo "$WORD"; sleep 600', nice=5))
    own_niceness = psutil.Process().nice()
    assert psutil.Process(supervisor.pid("asker")).nice() == own_niceness + 5
    supervisor.start(Part("other", ["/bin/sh", "-c", 'echo "$WORD"'], {"WORD": "hello"}, restart=False))
    supervisor.wait("other", 5)
    assert supervisor.last_output("other") == ["hello"]


def test_a_missing_program_is_named(supervisor: Supervisor) -> None:
    with pytest.raises(FraudsimError, match="ghost: the program /no/such/program is not there"):
        supervisor.start(Part("ghost", ["/no/such/program"], ENV))


def test_a_name_is_given_once(supervisor: Supervisor) -> None:
    supervisor.start(sleeper("one"))
    with pytest.raises(ValueError, match="one runs already"):
        supervisor.start(sleeper("one"))


def test_waiting_has_a_limit(supervisor: Supervisor) -> None:
    supervisor.start(sleeper("one"))
    with pytest.raises(TimeoutError):
        supervisor.wait("one", 0.01)


def test_a_part_whose_start_was_interrupted_is_ended(tmp_path: Path) -> None:
    """Ctrl-C may come between the start of its process and that of the thread that watches it."""

    def interrupted(_: str, event: Event) -> None:
        if event == "started":
            raise KeyboardInterrupt

    supervisor = Supervisor(tmp_path / "logs", on_event=interrupted)
    with pytest.raises(KeyboardInterrupt):
        supervisor.start(sleeper("one"))
    pid = supervisor.pid("one")
    assert pid is not None
    closing = threading.Thread(target=supervisor.close, daemon=True)
    closing.start()
    closing.join(15)
    assert not closing.is_alive()
    assert start_token(pid) == ""
