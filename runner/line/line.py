"""The line: every process of a run on one machine, from the stack to the producer."""

import json
import os
import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Final

from fraudsim.errors import FraudsimError
from fraudsim.log import topics
from fraudsim.polling import poll_until
from fraudsim.settings import Settings, variable
from producers.history.reader import History
from runner.line.options import LineOptions, Say
from runner.line.preparation import copy_policy, event_speed, make_history, make_model, start_log_and_prime
from runner.line.probes import scorer_is_ready, worker_has_caught_up
from runner.stack.ports import claim_port, free_port
from runner.stack.stack import environment, start_stack
from runner.supervise.supervisor import Event, Part, Supervisor

READY_S: Final = 90.0
POLL_S: Final = 0.05
PRODUCER_STOP_S: Final = 30.0
"""The sender itself waits up to 20 s for acknowledgements, and for its shards 5 s more."""
SCORER_STOP_S: Final = 25.0
"""The scorer itself waits up to 15 s for HTTP requests in flight, and then publishes their decisions."""


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
        self._port_claim: int | None = None

    def __enter__(self) -> "Line":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.supervisor.close()
        if self._port_claim is not None:
            os.close(self._port_claim)
            self._port_claim = None

    def _on_event(self, name: str, event: Event) -> None:
        self.events.append((time.time(), name, event))
        if event in ("died", "restarted", "failed"):
            self.say(f"{name} {event}")

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
        primed_keys = start_log_and_prime(self.options, self.settings, self.history, self.speed)
        self.say(f"primed {primed_keys:,} keys")

    def _start_stack(self) -> None:
        self.say("starting Kafka and Redis")
        addresses = start_stack(self.run_dir / "stack", self.settings, self.supervisor)
        self.say("  ".join(f"{name}={value}" for name, value in environment(addresses).items()))
        http_port = self._http_port()
        self.settings = self.settings.model_copy(
            update={
                "kafka_bootstrap": addresses.kafka_bootstrap,
                "redis_url": addresses.redis_url,
                "model_dir": self.run_dir / "models",
                "http_port": http_port,
            }
        )
        self._env = {
            **os.environ,
            **environment(addresses),
            variable("model_dir"): str(self.run_dir / "models"),
            variable("policy"): str(self.run_dir / "policy"),
            variable("http_port"): str(http_port),
            variable("metrics_port"): "0",
        }

    def _http_port(self) -> int:
        """The port set explicitly; else, for `up`, the default one if it is free; else any free port."""
        configured = self.settings.http_port
        if "http_port" in self.settings.model_fields_set and configured:
            return configured
        if configured and self.options.seconds is None:
            # Claimed, because the scorer listens only seconds later.
            self._port_claim = claim_port(configured, self.settings.cache_dir)
            if self._port_claim is not None:
                return configured
        return free_port(exclude=configured)

    # Processes

    def command(self, *argv: str) -> list[str]:
        """The argv of a `fraudsim` command, run by this interpreter."""
        return [sys.executable, "-m", "fraudsim", *argv]

    def start_part(self, name: str, *argv: str, **part_options: Any) -> None:
        """Start a `fraudsim` command under the supervisor; `part_options` are fields of `Part`."""
        env = {**self._env, variable("worker_name"): name, variable("scorer_name"): name}
        self.supervisor.start(Part(name, self.command(*argv), env, **part_options))

    def start_line(self) -> None:
        """Start worker, scorer, archiver and label feed, and wait until they can take a transaction."""
        self.say("starting the feature worker, the scorer, the archiver and the label feed")
        self.start_part("worker", "worker", nice=5)  # the scorer folds the unfolded log itself
        self.start_part("scorer", "scorer", stop_timeout_s=SCORER_STOP_S)
        self.start_part("archiver", "archive", "--run", str(self.run_dir), nice=10, stop_timeout_s=60.0)
        if self.options.consequences:
            argv = self.stream_command("labels", "labels.json", self.options.seconds)
            self.start_part("labels", *argv, finishes=True, nice=10)
        self.wait_for("the scorer to be ready", self.scorer_is_ready)
        self.wait_for("the feature worker to fold", self.worker_has_caught_up)
        if self.options.consequences:
            self.wait_for("the label feed to have read its labels", (self.run_dir / "labels.json").exists)

    def start_producer(self) -> None:
        """Start the live traffic, and with it the run's clock."""
        flags = [self.labels_flag(), *(["--reacting"] if self.options.reacting else [])]
        argv = self.stream_command("produce", "producer.json", self.options.seconds, *flags)
        self.start_part("producer", *argv, finishes=True, stop_timeout_s=PRODUCER_STOP_S)

    def labels_flag(self) -> str:
        """The flag of `produce` that says whether it sends labels; a label feed sends them otherwise."""
        return "--no-labels" if self.options.consequences else "--labels"

    def stream_command(self, command: str, report: str, seconds: float | None, *flags: str) -> list[str]:
        """The argv of `produce` or `labels` for this run's stream; `report` is a file in the run folder."""
        argv = [command, "--speed", repr(self.speed), "--report", str(self.run_dir / report), *flags]
        if self.options.replay is not None:
            argv += ["--replay", str(self.options.replay)]
        else:
            argv += ["--history", str(self.run_dir / "history")]
        if self.options.script is not None and "--null" not in flags:
            argv += ["--script", str(self.options.script)]
        if self.options.shards > 1 and command == "produce":
            argv += ["--shards", str(self.options.shards)]
        return [*argv, "--seconds", repr(seconds)] if seconds is not None else argv

    # Progress

    def scorer_is_ready(self) -> bool:
        """Whether the scorer reports that it is ready."""
        return scorer_is_ready(self.settings)

    def worker_has_caught_up(self) -> bool:
        """Whether the worker's latest process owns every slot and has folded the log to its end."""
        started_s = max(at_s for at_s, name, event in self.events if name == "worker" and event != "died")
        return worker_has_caught_up(self.settings, started_s)

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
                for reason in self.supervisor.failed.values():
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
