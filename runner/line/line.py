"""The line: every process of a run on one machine, from the stack to the producer."""

import json
import os
import secrets
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Final

from pydantic import SecretStr

from fraudsim.addresses import RUNNING_FILE, RunningLine, RunningPart, http_url, mask_password
from fraudsim.errors import FraudsimError
from fraudsim.log import topics
from fraudsim.polling import poll_until
from fraudsim.settings import Settings, variable
from producers.history.reader import History
from runner.line.options import LineOptions, Say
from runner.line.parts import (
    PARTS,
    READY_S,
    LinePart,
    PartProgress,
    PreparedRun,
    Wait,
    in_stop_order,
    parts_of,
)
from runner.line.preparation import copy_policy, event_speed, make_history, make_model, start_log_and_prime
from runner.line.probes import page_answers
from runner.line.run_controls import RunControls
from runner.stack.ports import claim_port, free_port
from runner.stack.stack import STACK_PARTS, environment, start_stack
from runner.supervise.supervisor import Event, Part, Supervisor

POLL_S: Final = 0.05
PAGE_S: Final = 20.0
"""Longest wait for the live page."""
OPTIONAL: Final = frozenset(part.name for part in PARTS if part.optional)


class Line:
    """A run of the line. Use as a context manager: on exit, every process has ended.

    Call `prepare`, `start_line` and `start_producer` in this order, then `runner.line.run_end.drain`.
    """

    def __init__(self, options: LineOptions, settings: Settings, say: Say = lambda _: None) -> None:
        self.options = options
        self.say = say
        self.run_dir = options.run_dir
        self.events: list[tuple[float, str, Event]] = []
        """Unix time, part and event, in the order of the supervisor's reports."""
        self.supervisor = Supervisor(self.run_dir / "logs", on_event=self._on_event)
        self.settings = settings
        self.history: History
        self.speed = 0.0
        """Event seconds per wall second."""
        self._env: dict[str, str] = {}
        self._metrics_ports: dict[str, int] = {}
        self._lock = threading.Lock()
        """Held while the file of the running parts is written: parts report from threads of their own."""
        self._port_claims: list[int] = []
        self._controls = ExitStack()

    def __enter__(self) -> "Line":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._controls.close()
            self.supervisor.close()
        finally:
            (self.run_dir / RUNNING_FILE).unlink(missing_ok=True)
        while self._port_claims:
            os.close(self._port_claims.pop())

    def _on_event(self, name: str, event: Event) -> None:
        self.events.append((time.time(), name, event))
        if event in ("died", "restarted", "failed"):
            self.say(f"{name} {event}")
        if name in self._metrics_ports:
            self._write_running_parts()

    # Preparation

    def prepare(self) -> None:
        """Set up stack, history, model, clock and state: everything before the first live transaction.

        Raises:
            FraudsimError: a program, port, disk space or file is missing, or the options contradict.
        """
        self.settings = copy_policy(self.options, self.settings, self.say)
        self._start_stack()
        self.history = make_history(self.options, self.settings, self.say)
        self.speed = event_speed(self.options, self.history)
        make_model(self.options, self.settings, self.say)
        self.say("creating topics, starting the run's clock, priming Redis from the history")
        primed_keys = start_log_and_prime(self.options, self.settings, self.history, self.speed, self.say)
        self.say(f"primed {primed_keys:,} keys")

    def _start_stack(self) -> None:
        self.say("starting Kafka and Redis")
        addresses = start_stack(self.run_dir / "stack", self.settings, self.supervisor)
        self.say(
            "  ".join(f"{name}={mask_password(value)}" for name, value in environment(addresses).items())
        )
        http_port = self._port("http_port", self.settings.http_host)
        self.settings = self.settings.model_copy(
            update={
                "kafka_bootstrap": addresses.kafka_bootstrap,
                "redis_url": addresses.redis_url,
                "model_dir": self.run_dir / "models",
                "http_port": http_port,
            }
        )
        if self.options.page:
            settings = self.settings
            self.settings = settings.model_copy(
                update={
                    "page_port": self._port("page_port", settings.page_host),
                    "page_key": _secret(settings.page_key),
                    "page_control_token": _secret(settings.page_control_token),
                }
            )
        self._env = {
            **os.environ,
            **environment(addresses),
            variable("model_dir"): str(self.run_dir / "models"),
            variable("policy"): str(self.run_dir / "policy"),
            variable("http_port"): str(http_port),
            variable("page_port"): str(self.settings.page_port),
            variable("page_key"): self.settings.page_key.get_secret_value(),
            variable("page_control_token"): self.settings.page_control_token.get_secret_value(),
            variable("controls"): str(self.options.controls).lower(),
        }

    def _port(self, field: str, host: str) -> int:
        """The port set explicitly; else, for `up`, the default one if it is free; else any free port."""
        configured: int = getattr(self.settings, field)
        if field in self.settings.model_fields_set and configured:
            return configured
        if configured and self.options.seconds is None:
            # Claimed, because the server listens only seconds later.
            claim = claim_port(configured, self.settings.cache_dir, host)
            if claim is not None:
                self._port_claims.append(claim)
                return configured
        return free_port(configured, host)

    @property
    def page_address(self) -> str:
        """The address of the live page, with its key, and with the token of its controls where it has any."""
        settings = self.settings
        base = http_url(settings.page_host, settings.page_port)
        token = settings.page_control_token.get_secret_value()
        fragment = f"#control={token}" if self.options.controls else ""
        return f"{base}/?key={settings.page_key.get_secret_value()}{fragment}"

    # Processes

    def command(self, *argv: str) -> list[str]:
        """The argv of a `fraudsim` command, run by this interpreter."""
        return [sys.executable, "-m", "fraudsim", *argv]

    @property
    def run(self) -> PreparedRun:
        """What the parts' commands are made of; whole after `prepare`."""
        return PreparedRun(self.options, self.settings, self.speed)

    def start_part(self, name: str, *argv: str, **part_options: Any) -> None:
        """Start a `fraudsim` command under the supervisor; `part_options` are fields of `Part`.

        Its metrics port stays the same over restarts.
        """
        if name not in self._metrics_ports:
            self._metrics_ports[name] = self._free_metrics_port()
        env = {
            **self._env,
            variable("worker_name"): name,
            variable("scorer_name"): name,
            variable("metrics_port"): str(self._metrics_ports[name]),
        }
        self.supervisor.start(Part(name, self.command(*argv), env, **part_options))

    def _free_metrics_port(self) -> int:
        used_ports = {self.settings.http_port, *self._metrics_ports.values()}
        while (port := free_port(host=self.settings.metrics_host)) in used_ports:
            pass
        return port

    def _write_running_parts(self) -> None:
        with self._lock:
            jobs = {part.name: part.job for part in PARTS}
            parts = {
                name: RunningPart(jobs[name], port, self.supervisor.pid(name))
                for name, port in list(self._metrics_ports.items())
                if name in jobs
            }
            self._running_line(parts).write(self.run_dir)

    def _running_line(self, parts: Mapping[str, RunningPart]) -> RunningLine:
        settings = self.settings
        url = http_url(settings.http_host, settings.http_port)
        servers = {name: self.supervisor.pid(name) for name in STACK_PARTS}
        return RunningLine(settings.kafka_bootstrap, settings.redis_url, url, parts, servers)

    def pids(self) -> dict[str, int | None]:
        """Process ids of the parts and of the stack's servers; None for one that does not run."""
        return {name: self.supervisor.pid(name) for name in (*self._metrics_ports, *STACK_PARTS)}

    def metrics_url(self, name: str) -> str:
        """Where a part serves its metrics."""
        return f"{http_url(self.settings.metrics_host, self._metrics_ports[name])}/metrics"

    def start_line(self) -> None:
        """Start the parts that start with the line, and wait until they can take a transaction."""
        parts = parts_of(self.options, "line")
        *others, last = (part.title for part in parts)
        self.say(f"starting {', '.join(others)} and {last}" if others else f"starting {last}")
        self._start_parts(parts)
        self.wait_for_ready(*(part.name for part in parts))
        if self.options.controls:
            controls = RunControls(self.settings.kafka_bootstrap, self.supervisor, self.run_dir, self.say)
            self._controls.enter_context(controls)
        if self.options.page:
            self._say_page()

    def _say_page(self) -> None:
        """Say the page's address once it answers; the run does not need it."""

        def answers_or_fails() -> bool:
            return "page" in self.supervisor.failed or page_answers(self.settings)

        if poll_until(answers_or_fails, PAGE_S, every_s=POLL_S) and "page" not in self.supervisor.failed:
            self.say(f"page: {self.page_address}")
        else:
            self.say(f"the live page does not answer: see {self.supervisor.log('page')}")

    def wait_for_ready(self, *names: str) -> None:
        """Wait until these parts can take a transaction."""
        for part in PARTS:
            if part.name in names and part.ready is not None:
                self._wait_for_part(part.name, part.ready)

    def start_producer(self) -> None:
        """Start the live traffic, and with it the run's clock."""
        self._start_parts(parts_of(self.options, "traffic"))

    def _start_parts(self, parts: Sequence[LinePart]) -> None:
        for part in parts:
            self.start_part(
                part.name,
                *part.command(self.run),
                nice=part.nice,
                finishes=part.finishes,
                stop_timeout_s=part.stop_timeout_s,
            )

    def stop_parts(self) -> None:
        """Stop the parts in the table's order, each when what it must finish is done; the archiver is last.

        Raises:
            FraudsimError: a part was given up, or one did not finish in time.
        """
        self._controls.close()
        for part in in_stop_order(self.options):
            if part.before_stop is not None:
                self._wait_for_part(part.name, part.before_stop)
            self.supervisor.stop(part.name)

    # Progress

    def _wait_for_part(self, name: str, wait: Wait) -> None:
        def holds() -> bool:
            return wait.holds(self.run, PartProgress(self._started_s(name), self.done))

        self.wait_for(wait.name, holds, wait.timeout_s)

    def _started_s(self, name: str) -> float:
        """Unix time at which the latest process of a part started."""
        starts = ("started", "restarted")
        return max(
            (at_s for at_s, part, event in self.events if part == name and event in starts), default=0.0
        )

    def wait_for(
        self, condition_name: str, condition: Callable[[], bool], timeout_s: float = READY_S
    ) -> None:
        """Wait until `condition` holds.

        Raises:
            FraudsimError: a part was given up meanwhile, or `timeout_s` seconds have passed.
        """

        def holds_or_fails() -> bool:
            is_met = condition()
            if not is_met:
                for name, reason in self.supervisor.failed.items():
                    if name not in OPTIONAL:
                        raise FraudsimError(reason)
            return is_met

        if not poll_until(holds_or_fails, timeout_s, every_s=POLL_S):
            raise FraudsimError(f"waited {timeout_s:g} s for {condition_name}; see {self.run_dir / 'logs'}")

    def done(self, name: str) -> bool:
        """Whether a part that finishes by itself has finished."""
        return any(part == name and event == "done" for _, part, event in self.events)

    def planned(self, report: str = "producer.json") -> int:
        """Transactions that the producer put into the log, by its own report; 0 without a report."""
        try:
            records = json.loads((self.run_dir / report).read_text())["records"]
        except (OSError, ValueError, KeyError):
            return 0
        return int(records.get(topics.TRANSACTIONS, 0))


def _secret(configured: SecretStr) -> SecretStr:
    return SecretStr(configured.get_secret_value() or secrets.token_urlsafe(24))
