"""The stack of `fraudsim bench stream`: a primed state, its worker, and the world's next transactions."""

import itertools
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec
from aiokafka import TopicPartition
from kafka import KafkaAdminClient
from kafka.admin import NewTopic

from fraudsim.errors import FraudsimError
from fraudsim.log import headers as h
from fraudsim.log.clock import Clock
from fraudsim.log.clock_log import ClockLog
from fraudsim.log.consumer import asking_ends
from fraudsim.log.events import Transaction, encoder
from fraudsim.log.partitioning import partition_of
from fraudsim.log.topics import TRANSACTIONS, create_topics
from fraudsim.polling import poll_until
from fraudsim.settings import Settings, variable
from load_tests.benches.stream.checks import answers_since, check_each_answered_once, check_ours
from load_tests.benches.stream.contestants import OURS, StreamContestant
from load_tests.rig.cores import Cores, pinned
from load_tests.rig.primed_world import prime_world
from load_tests.rig.process_tree import cpu_s, machine_cpu_s, process_tree
from load_tests.rivals.scoring_setup import SCORES, VARIABLE, RivalSetup
from producers.sources.world_source import WorldSource
from producers.world.config import WorldConfig
from producers.world.world import World
from runner.stack.ports import free_port
from runner.stack.stack import start_stack
from runner.supervise.supervisor import Part, Supervisor
from stream_features.catalogue.features import DAY

DAYS: Final = 40
SEED: Final = 7
HORIZON_MS: Final = 5 * DAY
"""How far the worker may be ahead of the scorer, in event time: some 20,000 transactions of this world."""
DEADLINE_MS: Final = 1_000
WINDOW: Final = 2_000
"""Most transactions in flight: sent and not answered."""
POLL_S: Final = 0.01
QUIET_S: Final = 1.0
"""A rival without new answers for this long has read all."""
READY_S: Final = 120.0
LONGEST_S: Final = 300.0
WORKER: Final = "worker"

Ends = Callable[[], Mapping[TopicPartition, int]]
"""Asks for the offset after the last answer, by partition."""


@dataclass
class ScoringFigures:
    """Figures of a contestant, one for each turn."""

    per_second: list[float] = field(default_factory=list)
    cpu_us: list[float] = field(default_factory=list)
    others: list[float] = field(default_factory=list)
    """Cores that the rest of the machine used meanwhile."""
    decision_figures: dict[str, float] = field(default_factory=dict)
    """What `check_ours` returns, of the last turn."""


class ScoringRig:
    """Runs contestants one after another on the world's next transactions, and checks their answers."""

    def __init__(self, folder: Path, supervisor: Supervisor, cores: Cores, cards: int) -> None:
        self._folder = folder
        self._supervisor = supervisor
        self._cores = cores
        self._sent = 0
        addresses = start_stack(folder / "stack", Settings(_env_file=None), supervisor)
        self._settings = Settings(
            _env_file=None, kafka_bootstrap=addresses.kafka_bootstrap, redis_url=addresses.redis_url
        )
        create_topics(self._settings)
        admin = KafkaAdminClient(bootstrap_servers=addresses.kafka_bootstrap)
        admin.create_topics([NewTopic(SCORES, self._settings.partitions, 1)])
        admin.close()
        world = World(WorldConfig(cards=cards, seed=SEED))
        self._primed = prime_world(folder, world, DAYS, self._settings, HORIZON_MS)
        (folder / "model.ubj").write_bytes(self._primed.model.ubj)
        ClockLog(self._settings.kafka_bootstrap, Clock()).append(self._primed.segment)
        items = WorldSource(world, DAYS, labels=False).items()
        self._transactions = (item.event for item in items if isinstance(item.event, Transaction))
        from confluent_kafka import Producer

        self._producer = Producer(
            {"bootstrap.servers": addresses.kafka_bootstrap, "enable.idempotence": True, "log_level": 0}
        )
        self._start(WORKER, ("-m", "fraudsim", WORKER), {})

    def run(self, contestant: StreamContestant, count: int, figures: ScoringFigures) -> None:
        """One turn of `count` transactions, appended to `figures`.

        Raises:
            FraudsimError: the contestant, or the worker, ended or does not answer.
            InvariantError: a check of the answers failed.
        """
        port = free_port()
        setup = RivalSetup(
            port=port, metrics_port=0, redis_url=self._settings.redis_url,
            model_dir=str(self._primed.model_dir), xgboost_model=str(self._folder / "model.ubj"),
            segment=self._primed.segment, kafka_bootstrap=self._settings.kafka_bootstrap,
            partitions=self._settings.partitions,
        )  # fmt: skip
        (self._folder / "setup.json").write_bytes(encoder.encode(setup))
        env = {
            VARIABLE: str(self._folder / "setup.json"),
            variable("http_port"): str(port),
            variable("model_dir"): setup.model_dir,
            variable("deadline_ms"): str(DEADLINE_MS),
            "OMP_NUM_THREADS": "1",
        }
        with pinned(self._cores.server):
            pid = self._start(contestant.name, contestant.argv, env)
        tps = [TopicPartition(contestant.topic, p) for p in range(self._settings.partitions)]
        with asking_ends(self._settings.kafka_bootstrap, tps) as ends:
            self._measure(contestant, pid, count, figures, ends)

    def _measure(
        self, contestant: StreamContestant, pid: int, count: int, figures: ScoringFigures, ends: Ends
    ) -> None:
        """A turn of a contestant that has been started; it is stopped before its answers are checked."""
        self._await_answers(contestant, ends)
        first_offsets = ends()
        transactions = list(itertools.islice(self._transactions, count))
        processes = process_tree(pid)
        bench_processes = [*processes, *process_tree(os.getpid())]
        cpu_before_s, bench_before_s, machine_before_s = (
            cpu_s(processes), cpu_s(bench_processes), machine_cpu_s()
        )  # fmt: skip
        started_s = time.perf_counter()
        self._send_windowed(contestant, transactions, ends)
        took_s = time.perf_counter() - started_s
        figures.per_second.append(count / took_s)
        figures.cpu_us.append((cpu_s(processes) - cpu_before_s) / count * 1e6)
        others_s = machine_cpu_s() - machine_before_s - (cpu_s(bench_processes) - bench_before_s)
        figures.others.append(max(0.0, others_s) / took_s)
        self._supervisor.stop(contestant.name)
        answers = answers_since(self._settings.kafka_bootstrap, first_offsets)
        check_each_answered_once(contestant.name, transactions, answers)
        if contestant is OURS:
            figures.decision_figures.update(check_ours(answers, self._primed.model))

    def _start(self, name: str, argv: Sequence[str], env: dict[str, str]) -> int:
        env = {
            **os.environ,
            variable("kafka_bootstrap"): self._settings.kafka_bootstrap,
            variable("redis_url"): self._settings.redis_url,
            variable("metrics_port"): "0",
            **env,
        }
        return self._supervisor.start(Part(name, [sys.executable, *argv], env, restart=False))

    def _await_answers(self, contestant: StreamContestant, ends: Ends) -> None:
        """Wait until a transaction that is sent now is answered, and no other is unanswered."""
        before, tries = _count(ends), 0

        def answers() -> bool:
            nonlocal tries
            tries += 1
            if tries % 50 == 1:
                self._send(next(self._transactions))
                self._producer.flush()
            self._check_running(contestant.name)
            return _count(ends) > before

        if not poll_until(answers, READY_S, every_s=POLL_S):
            raise FraudsimError(f"bench stream: no answer: {self._last_output(contestant.name)}")
        last_count, changed_s = -1, 0.0

        def none_unanswered() -> bool:
            nonlocal last_count, changed_s
            answered = _count(ends)
            if contestant is OURS:  # resumes where it stopped; a rival starts at the log's end
                return answered == self._sent
            if answered != last_count:
                last_count, changed_s = answered, time.monotonic()
            return time.monotonic() - changed_s > QUIET_S

        if not poll_until(none_unanswered, LONGEST_S, every_s=POLL_S):
            raise FraudsimError(f"bench stream: {contestant.name} does not reach the log's end")

    def _send_windowed(
        self, contestant: StreamContestant, transactions: Sequence[Transaction], ends: Ends
    ) -> None:
        """Send all, with at most `WINDOW` in flight, and wait for the last answer."""
        answered_before, sent = _count(ends), 0

        def all_answered() -> bool:
            nonlocal sent
            answered = _count(ends) - answered_before
            for tx in transactions[sent : answered + WINDOW]:
                self._send(tx)
                sent += 1
            self._producer.poll(0)
            self._check_running(contestant.name)
            return answered >= len(transactions)

        if not poll_until(all_answered, LONGEST_S, every_s=POLL_S):
            raise FraudsimError(
                f"bench stream: not all of {sent:,} are answered: {self._last_output(contestant.name)}"
            )

    def _send(self, tx: Transaction) -> None:
        self._sent += 1
        stamped = msgspec.structs.replace(tx, sent_at=time.time_ns() // 1000)
        self._producer.produce(
            TRANSACTIONS,
            encoder.encode(stamped),
            tx.card_id.encode(),
            partition_of(tx.card_id, self._settings.partitions),
            headers=[(h.SEGMENT, h.encode_int(0))],
        )

    def _check_running(self, name: str) -> None:
        for part in (name, WORKER):
            if self._supervisor.pid(part) is None:
                raise FraudsimError(f"bench stream: {part} has ended: {self._last_output(part)}")

    def _last_output(self, name: str) -> str:
        return " | ".join(self._supervisor.last_output(name, 3))


def _count(ends: Ends) -> int:
    """Answers in the log so far."""
    return sum(ends().values())
