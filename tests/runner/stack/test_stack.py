"""The real servers: two shared stacks for tests that only read, an own stack for each test that kills."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
from kafka import KafkaProducer
from kafka.admin import KafkaAdminClient, NewTopic
from redis import Redis

from fraudsim.errors import FraudsimError
from fraudsim.polling import poll_until
from fraudsim.settings import Settings
from runner.stack.kafka_server import kafka_answers
from runner.stack.lock import is_held, stack_lock
from runner.stack.redis_server import find_redis, redis_answers
from runner.stack.stack import StackAddresses, environment, start_stack
from runner.supervise.supervisor import Supervisor

pytestmark = pytest.mark.stack

Write = Callable[[Path, str], Path]


class TwoStacks:
    def __init__(self, root: Path) -> None:
        settings = Settings(_env_file=None, kafka_heap_mb=256)
        self.supervisors = [Supervisor(root / name / "logs") for name in ("left", "right")]
        with ThreadPoolExecutor(2) as pool:
            starts = [
                pool.submit(start_stack, supervisor.log_dir.parent, settings, supervisor)
                for supervisor in self.supervisors
            ]
        self.addresses = [start.result() for start in starts]

    def close(self) -> None:
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(Supervisor.close, self.supervisors))


@pytest.fixture(scope="module")
def stacks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TwoStacks]:
    stacks = TwoStacks(tmp_path_factory.mktemp("stacks"))
    yield stacks
    stacks.close()


@pytest.fixture
def left(stacks: TwoStacks) -> StackAddresses:
    return stacks.addresses[0]


def test_two_stacks_run_side_by_side(stacks: TwoStacks) -> None:
    left, right = stacks.addresses
    assert left.kafka_bootstrap != right.kafka_bootstrap
    assert left.redis_url != right.redis_url
    for addresses in (left, right):
        assert kafka_answers(addresses.kafka_bootstrap)
        assert redis_answers(addresses.redis_url)


def test_the_stack_listens_on_the_loopback_only(stacks: TwoStacks) -> None:
    for name in ("kafka", "redis"):
        process = psutil.Process(stacks.supervisors[0].pid(name))
        listening = [c.laddr.ip for c in process.net_connections("tcp") if c.status == psutil.CONN_LISTEN]
        assert listening
        assert {ip.removeprefix("::ffff:") for ip in listening} == {"127.0.0.1"}


def test_topics_are_not_made_by_accident(left: StackAddresses) -> None:
    admin = KafkaAdminClient(bootstrap_servers=left.kafka_bootstrap)
    admin.describe_topics(["no-such-topic"])
    assert "no-such-topic" not in admin.list_topics()
    admin.close()


def test_redis_refuses_rather_than_forgets(left: StackAddresses) -> None:
    with Redis.from_url(left.redis_url) as client:
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        assert client.config_get("save") == {"save": ""}


def test_the_addresses_come_as_settings(left: StackAddresses) -> None:
    assert environment(left) == {
        "FRAUDSIM_KAFKA_BOOTSTRAP": left.kafka_bootstrap,
        "FRAUDSIM_REDIS_URL": left.redis_url,
    }


def test_a_killed_kafka_comes_back_at_its_address_with_its_log(stacks: TwoStacks) -> None:
    supervisor, addresses = stacks.supervisors[1], stacks.addresses[1]
    admin = KafkaAdminClient(bootstrap_servers=addresses.kafka_bootstrap)
    admin.create_topics([NewTopic("kept", 1, 1)])
    admin.close()
    producer = KafkaProducer(bootstrap_servers=addresses.kafka_bootstrap, acks="all")
    producer.send("kept", b"acknowledged").get(10)
    killed = supervisor.pid("kafka")
    assert killed is not None
    os.kill(killed, signal.SIGKILL)
    assert poll_until(lambda: supervisor.pid("kafka") not in (None, killed), 10)
    assert producer.send("kept", b"after").get(40).offset == 1
    producer.close()
    assert supervisor.restarts["kafka"] == 1


def test_a_folder_of_any_name_holds_one_log_that_a_second_start_finds(
    tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Names that Kafka's properties or a poor locale would change."""
    monkeypatch.setenv("LC_ALL", "C")
    folder = tmp_path / "Müller v1,final\\night #1"
    for offset in (0, 1):
        with Supervisor(folder / "logs") as supervisor:
            addresses = start_stack(folder, settings, supervisor, fresh=False)
            if offset == 0:
                admin = KafkaAdminClient(bootstrap_servers=addresses.kafka_bootstrap)
                admin.create_topics([NewTopic("kept", 1, 1)])
                admin.close()
            producer = KafkaProducer(bootstrap_servers=addresses.kafka_bootstrap, acks="all")
            assert producer.send("kept", b"acknowledged").get(30).offset == offset
            producer.close()
    assert [path.name for path in tmp_path.iterdir()] == [folder.name]
    assert (folder / "kafka" / "data" / "kept-0").is_dir()
    assert (folder / "redis" / "data").is_dir()


@pytest.mark.parametrize("field", ["kafka_port", "redis_port"])
def test_a_busy_port_is_named_and_nothing_stays_up(field: str, tmp_path: Path, settings: Settings) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, Supervisor(tmp_path / "logs") as supervisor:
        port = listener.getsockname()[1]
        with pytest.raises(FraudsimError, match=f"FRAUDSIM_{field.upper()}={port} is in use"):
            start_stack(tmp_path, settings.model_copy(update={field: port}), supervisor)
        assert supervisor.pid("redis") is None


def test_a_server_that_ends_at_once_is_reported_with_its_last_lines(
    tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch, write_program: Write
) -> None:
    write_program(tmp_path / "java" / "bin" / "java", "echo 'version \"21\"'; echo no such luck; exit 1\n")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "java"))
    with Supervisor(tmp_path / "logs") as supervisor:
        with pytest.raises(FraudsimError, match=r"kafka-format ended instead of starting.*no such luck"):
            start_stack(tmp_path, settings, supervisor)
        assert supervisor.pid("redis") is None


def test_a_port_lost_between_the_choice_and_the_start_is_chosen_again(
    tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch, write_program: Write
) -> None:
    write_program(tmp_path / "java" / "bin" / "java", "echo 'version \"21\"'; exit 1\n")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "java"))
    unlucky = write_program(
        tmp_path / "unlucky-redis",
        f"cat $1 >>{tmp_path}/seen\n"
        f"test $(grep -c ^port {tmp_path}/seen) -gt 1 && exec {find_redis(settings)} $1\n"
        "echo 'bind: Address already in use'; exit 1\n",
    )
    with Supervisor(tmp_path / "logs") as supervisor, pytest.raises(FraudsimError, match="kafka-format"):
        start_stack(tmp_path, settings.model_copy(update={"redis_server": unlucky}), supervisor)
    ports = [line for line in (tmp_path / "seen").read_text().splitlines() if line.startswith("port")]
    assert len(set(ports)) == 2


def test_a_folder_holds_one_stack(tmp_path: Path) -> None:
    with stack_lock(tmp_path):
        assert is_held(tmp_path)
        with pytest.raises(FraudsimError, match=f"a stack runs in {tmp_path} already"), stack_lock(tmp_path):
            pass
    assert not is_held(tmp_path)


# The commands


def stack_command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "runner.stack_cli", *arguments]


def count_cds_dump_processes(pids: list[int]) -> int:
    """How many of these processes make the CDS archive, as in a first run: a shell and its Java."""
    count = 0
    for pid in pids:
        with contextlib.suppress(psutil.NoSuchProcess):
            count += "-Xshare:dump" in psutil.Process(pid).cmdline()
    return count


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    return {**os.environ, "FRAUDSIM_RUNS_DIR": str(tmp_path / "runs"), "FRAUDSIM_KAFKA_HEAP_MB": "256"}


def test_up_stays_status_asks_and_down_ends_it(
    tmp_path: Path,
    env: dict[str, str],
    end_after: Callable[[int], None],
    all_gone: Callable[[list[int]], bool],
) -> None:
    def stack(command: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            stack_command(command), env=env, capture_output=True, text=True, timeout=90, check=False
        )

    assert stack("status").returncode == 1
    first = stack("up")
    assert first.returncode == 0, first.stderr
    exported = dict(line.removeprefix("export ").split("=", 1) for line in first.stdout.splitlines())
    assert set(exported) == {"FRAUDSIM_KAFKA_BOOTSTRAP", "FRAUDSIM_REDIS_URL"}
    state = tmp_path / "runs" / "stack" / "stack.json"
    assert state.stat().st_mode & 0o777 == 0o600
    holder = psutil.Process(json.loads(state.read_text())["pid"])
    pids = [holder.pid, *(child.pid for child in holder.children(recursive=True))]
    assert len(pids) - count_cds_dump_processes(pids) == 4  # the holder, its reaper, Redis, Kafka
    for pid in pids:
        end_after(pid)
    second = stack("up")
    assert (second.returncode, second.stdout) == (0, first.stdout)
    assert "already up" in second.stderr
    status = stack("status")
    assert status.returncode == 0
    assert status.stdout.count(" answers") == 2
    assert "redis://:***@" in status.stdout
    assert stack("down").returncode == 0
    assert all_gone(pids)
    assert "no stack runs" in stack("down").stderr


def test_run_gives_the_command_a_stack_and_exits_with_its_code(tmp_path: Path, env: dict[str, str]) -> None:
    script = (
        "from fraudsim.settings import load_settings; from runner.stack.kafka_server import kafka_answers\n"
        "from runner.stack.redis_server import redis_answers; settings = load_settings()\n"
        "assert kafka_answers(settings.kafka_bootstrap) and redis_answers(settings.redis_url)\n"
        "raise SystemExit(7)"
    )
    command = stack_command("run", "--", sys.executable, "-c", script)
    ended = subprocess.run(command, env=env, capture_output=True, text=True, timeout=90, check=False)
    assert ended.returncode == 7, ended.stderr
    assert list((tmp_path / "runs").iterdir()) == []


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGKILL, -signal.SIGKILL)])
def test_whatever_ends_run_leaves_no_process(
    number: signal.Signals,
    code: int,
    tmp_path: Path,
    env: dict[str, str],
    end_after: Callable[[int], None],
    all_gone: Callable[[list[int]], bool],
) -> None:
    command = stack_command("run", "--", "sh", "-c", "sleep 600 & echo ready; wait")
    run = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True)
    end_after(run.pid)
    assert run.stdout is not None
    assert run.stdout.readline() == "ready\n"
    pids = [child.pid for child in psutil.Process(run.pid).children(recursive=True)]
    # The reaper, Redis, Kafka, the command's shell and its sleep.
    assert len(pids) - count_cds_dump_processes(pids) == 5
    for pid in pids:
        end_after(pid)
    run.send_signal(number)
    run.communicate(timeout=30)
    assert run.returncode == code
    assert all_gone(pids)


def test_an_error_is_one_line_and_exit_code_2(tmp_path: Path, env: dict[str, str]) -> None:
    command = stack_command("run", "--", "true")
    ended = subprocess.run(
        command,
        env={**env, "JAVA_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 2
    assert ended.stderr.startswith(f"error: JAVA_HOME={tmp_path} has no working bin/java")
    assert ended.stderr.count("\n") == 1
