"""The whole line on one machine: stack, history, model, primed state, processes; and its orderly end."""

import json
import os
import shutil
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import redis

from fraudsim.errors import FraudsimError
from fraudsim.log import topics
from fraudsim.log.clock_log import start_log
from fraudsim.polling import poll_until
from fraudsim.settings import Settings, variable
from producers.history.folder import History, read_history, world_of
from producers.history.writer import write_history
from runner.line.speed import consistent_speed, speed_for, speed_of_run
from runner.record.observer import Latencies, Observer, Tally
from runner.stack.ports import claim, free_port
from runner.stack.stack import environment, start_stack
from runner.supervise.supervisor import Event, Part, Supervisor
from scorer.policy.file import SHIPPED
from scorer.policy.store import put

READY_S: Final = 90.0
NULL_S: Final = 15.0
QUIET_S: Final = 15.0
"""With nothing decided for this long after the last send, what is missing is lost."""
POLL_S: Final = 0.05
SCRIPT_QUIET_S: Final = 4.0
"""The same with a script, whose bad data nobody decides, so that the wait always comes to this."""
LABELS_S: Final = 90.0
PRODUCER_STOP_S: Final = 30.0
"""The sender itself waits up to 20 s for acknowledgements, and for its shards 5 s more."""
SCORER_STOP_S: Final = 25.0
"""The scorer itself waits up to 15 s for the HTTP requests under way, and then publishes what it answered."""


@dataclass(frozen=True)
class LineOptions:
    """What a run is; see `fraudsim demo --help`."""

    run_dir: Path
    seconds: float | None = 60.0
    """Wall seconds of live traffic; None goes on until stopped, or to the end of the replayed file."""
    rate: float = 300.0
    cards: int = 5_000
    history_days: int = 75
    replay: Path | None = None
    script: Path | None = None
    """A scenario file to play on the live stream."""
    consequences: bool = True
    """Labels follow from the decisions; else they come as the world has them, whatever is decided."""
    reacting: bool = False
    """Campaigns of fraud react to declines."""
    speed: float | None = None
    reuse: Path | None = None
    """An earlier run whose history and model are taken over."""
    shards: int = 1
    """Processes that share the sending by card."""
    null_seconds: float = NULL_S


Say = Callable[[str], None]


class Line:
    """Use as a context manager: whatever happens, every process is gone at the end."""

    def __init__(self, options: LineOptions, settings: Settings, say: Say = lambda _: None) -> None:
        self.options = options
        self.say = say
        self.run_dir = options.run_dir
        self.events: list[tuple[float, str, Event]] = []
        self.supervisor = Supervisor(self.run_dir / "logs", on_event=self._on_event)
        self.settings = settings
        self.history: History
        self.speed = 0.0
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

    # Getting ready

    def prepare(self) -> None:
        """Stack, history, model, clock, state: everything before the first live transaction."""
        self._take_policy()
        self._start_stack()
        self._make_history()
        self._make_model()
        self.say("creating topics, starting the run's clock, priming Redis from the history")
        topics.create_topics(self.settings)
        manifest = self.history.manifest
        clock_log = start_log(
            self.settings, manifest.end_ms, self.speed, str(self.run_dir / "history"), manifest.fingerprint
        )
        from stream_features.offline.history_tables import read_history_tables
        from stream_features.store.prime import prime, state_of_history

        transactions, labels = read_history_tables(self.run_dir / "history")
        segment = clock_log.clock.first
        table = state_of_history(transactions, labels, segment.event_epoch_ms, segment.horizon_ms)
        prime(self.settings, segment, table, manifest.fingerprint)
        self.say(f"primed {len(table):,} keys")

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
        """The port that was asked for; else the usual one for `up` where it is free; else any free one."""
        usual = self.settings.http_port
        if "http_port" in self.settings.model_fields_set and usual:
            return usual
        if usual and self.options.seconds is None:
            # Claimed, since the scorer listens only seconds from now.
            self._port_claim = claim(usual, self.settings.cache_dir)
            if self._port_claim is not None:
                return usual
        return free_port(but=usual)

    def _take_policy(self) -> None:
        """A copy of its own, so that a run knows what it was decided by, and it can be changed meanwhile."""
        taken = put(self.settings.policy or SHIPPED, self.run_dir / "policy")
        self.settings = self.settings.model_copy(update={"policy": self.run_dir / "policy"})
        self.say(f"policy: {taken.version}")

    def _make_history(self) -> None:
        target, options = self.run_dir / "history", self.options
        if options.reuse is not None:
            for part in ("history", "model"):
                if not (options.reuse / part).is_dir():
                    raise FraudsimError(f"--reuse {options.reuse} has no {part} folder: name an earlier run")
                shutil.copytree(options.reuse / part, self.run_dir / part)
        elif options.replay is not None:
            from producers.datasets.registry import replay_history
            from producers.world.settings import label_delays

            self.say(f"reading {options.replay.name}: its first days become the history")
            replay_history(options.replay, target, delays=label_delays(self.settings))
        else:
            from producers.world.settings import world_config
            from producers.world.world import World

            self.say(f"generating {options.history_days} days of history for {options.cards:,} cards")
            write_history(target, World(world_config(self.settings, options.cards)), options.history_days)
        self.history = read_history(target)
        manifest = self.history.manifest
        self.say(
            f"history: {manifest.transactions:,} transactions of {manifest.days} days, "
            f"{manifest.fraud_rate:.2%} fraud"
        )
        if options.replay is not None:
            assert options.speed is not None
            self.speed = options.speed
        else:
            self.speed = consistent_speed(options.speed, self._derived(), options.rate, manifest.cards)

    def _derived(self) -> float:
        """The speed that the rate comes to."""
        options, manifest = self.options, self.history.manifest
        if options.seconds is None:
            return speed_for(options.rate, manifest.transactions_per_day)
        return speed_of_run(world_of(self.history), manifest.days, options.rate, options.seconds)

    def _make_model(self) -> None:
        """The run's own model, as the champion of a registry, so that others can be put beside it."""
        from model.registry import versions as registry

        if self.options.reuse is None:
            from model.training.train import train_model

            self.say("training the model on the history")
            train_model(self.run_dir / "history", self.run_dir / "model", self.settings)
        registry.put(self.run_dir / "model", self.run_dir / "models")

    # Parts

    def command(self, *argv: str) -> list[str]:
        """A command of the console script, with this interpreter."""
        return [sys.executable, "-m", "fraudsim", *argv]

    def start_part(self, name: str, *argv: str, **more: Any) -> None:
        env = {**self._env, variable("worker_name"): name, variable("scorer_name"): name}
        self.supervisor.start(Part(name, self.command(*argv), env, **more))

    def start_line(self) -> None:
        """Worker, scorer, archiver and label feed, ready to take the first transaction."""
        self.say("starting the feature worker, the scorer, the archiver and the label feed")
        self.start_part("worker", "worker", nice=5)  # nobody waits for it: the tail makes up
        self.start_part("scorer", "scorer", stop_timeout_s=SCORER_STOP_S)
        self.start_part("archiver", "archive", "--run", str(self.run_dir), nice=10, stop_timeout_s=60.0)
        if self.options.consequences:
            argv = self._of_stream("labels", "labels.json", self.options.seconds)
            self.start_part("labels", *argv, finishes=True, nice=10)
        self.wait_for("the scorer to be ready", self._scorer_ready)
        self.wait_for("the feature worker to fold", self._worker_folds)
        if self.options.consequences:
            self.wait_for("the label feed to have read its labels", (self.run_dir / "labels.json").exists)

    def start_producer(self) -> None:
        """Set the clock going and the traffic flowing."""
        more = [*self._labels(), *(["--reacting"] if self.options.reacting else [])]
        argv = self._of_stream("produce", "producer.json", self.options.seconds, *more)
        self.start_part("producer", *argv, finishes=True, stop_timeout_s=PRODUCER_STOP_S)

    def _labels(self) -> list[str]:
        return ["--no-labels"] if self.options.consequences else ["--labels"]

    def _of_stream(self, command: str, report: str, seconds: float | None, *more: str) -> list[str]:
        argv = [command, "--speed", repr(self.speed), "--report", str(self.run_dir / report), *more]
        if self.options.replay is not None:
            argv += ["--replay", str(self.options.replay)]
        else:
            argv += ["--history", str(self.run_dir / "history")]
        if self.options.script is not None and "--null" not in more:
            argv += ["--script", str(self.options.script)]
        if self.options.shards > 1 and command == "produce":
            argv += ["--shards", str(self.options.shards)]
        return [*argv, "--seconds", repr(seconds)] if seconds is not None else argv

    def _scorer_ready(self) -> bool:
        url = f"http://127.0.0.1:{self.settings.http_port}/readyz"
        try:
            with urllib.request.urlopen(url, timeout=2) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def _worker_folds(self) -> bool:
        """Its heartbeat says that it owns every slot and has folded the log to its end."""
        from stream_features.store.keys import fresh_key

        with redis.Redis.from_url(self.settings.redis_url) as client:
            beats: Any = client.mget([fresh_key(s) for s in range(self.settings.slots)])
        newest_start = max(at for at, name, event in self.events if name == "worker" and event != "died")
        return all(beat is not None and float(beat) > newest_start * 1000 for beat in beats)

    def wait_for(self, what: str, holds: Callable[[], bool], timeout_s: float = READY_S) -> None:
        """Wait until something holds.

        Raises:
            FraudsimError: a part was given up meanwhile, or time ran out.
        """

        def holds_or_never_will() -> bool:
            held = holds()
            if not held:
                for reason in self.supervisor.failed.values():
                    raise FraudsimError(reason)
            return held

        if not poll_until(holds_or_never_will, timeout_s, every_s=POLL_S):
            raise FraudsimError(f"waited {timeout_s:g} s for {what}; see {self.run_dir / 'logs'}")

    # The null pipeline

    def run_null(self) -> Latencies:
        """Latencies of the same schedule and sender through a bare relay on the same broker."""
        seconds = self.options.null_seconds
        if self.options.seconds is not None:
            seconds = min(seconds, self.options.seconds)
        if seconds <= 0:
            return Latencies()
        self.say(f"null pipeline: {seconds:g} s of the same schedule through a bare relay")
        topics.create_topics(self.settings, topics.NULL)
        manifest = self.history.manifest
        start_log(self.settings, manifest.end_ms, self.speed, "", "", topics.NULL + topics.CLOCK)
        with Observer(self.settings, topics.NULL + topics.DECISIONS) as observer:
            self.start_part("relay", "relay")
            argv = self._of_stream("produce", "null-producer.json", seconds, "--null", *self._labels())
            self.start_part("null-producer", *argv, finishes=True)
            self.wait_for("the null producer", lambda: self.done("null-producer"), seconds + READY_S)
            planned = self.planned("null-producer.json")
            wait_quiet(observer.tally, planned)
            self.supervisor.stop("relay")
        return observer.tally.latencies

    # The end

    def done(self, name: str) -> bool:
        """Whether a part that finishes has done so."""
        return any(part == name and event == "done" for _, part, event in self.events)

    def planned(self, report: str = "producer.json") -> int:
        """Transactions that the producer put into the log, by its own report."""
        try:
            records = json.loads((self.run_dir / report).read_text())["records"]
        except (OSError, ValueError, KeyError):
            return 0
        return int(records.get(topics.TRANSACTIONS, 0))

    def drain(self, tally: Tally) -> None:
        """After the last send: wait for the decisions and the fold, then let the archiver finish."""
        wait_quiet(tally, self.planned(), QUIET_S if self.options.script is None else SCRIPT_QUIET_S)
        self._end_labels()
        self.wait_for("the feature worker to catch up", self._folded_to_the_end, 60.0)
        self.supervisor.stop("producer")
        self.supervisor.stop("scorer")
        self.supervisor.stop("worker")
        self.supervisor.stop("archiver")

    def _end_labels(self) -> None:
        """The label feed ends with the stream; where the stream was stopped, it is stopped too."""
        if self.options.consequences:
            if self.done("producer"):
                self.wait_for("the label feed", lambda: self.done("labels"), LABELS_S)
            self.supervisor.stop("labels")

    def _folded_to_the_end(self) -> bool:
        from kafka import KafkaConsumer, TopicPartition

        from stream_features.store.keys import watermark_key
        from stream_features.store.watermark import decode_watermark

        sources = [
            TopicPartition(topic, p)
            for topic in (topics.TRANSACTIONS, topics.LABELS)
            for p in range(self.settings.partitions)
        ]
        consumer = KafkaConsumer(bootstrap_servers=self.settings.kafka_bootstrap)
        try:
            ends = consumer.end_offsets(sources)
        finally:
            consumer.close()
        with redis.Redis.from_url(self.settings.redis_url) as client:
            stored: Any = client.mget([watermark_key(s) for s in range(self.settings.slots)])
        return all(
            decode_watermark(value).offsets[i] + 1 >= ends[tp]
            for value in stored
            for i, tp in enumerate(sources)
        )


def wait_quiet(tally: Tally, expected: int, quiet_s: float = QUIET_S) -> None:
    """Wait until the stream has decided as many as expected, or none more for `quiet_s` seconds."""
    while (seen := tally.streamed) < expected:
        if not poll_until(lambda seen=seen: tally.streamed > seen, quiet_s, every_s=POLL_S):  # type: ignore[misc]
            return
