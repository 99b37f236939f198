"""The stack of `fraudsim bench stream`: a primed state, its worker, and the world's next transactions."""

import itertools
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec
from kafka import KafkaAdminClient, KafkaConsumer, TopicPartition
from kafka.admin import NewTopic

from fraudsim.errors import FraudsimError
from fraudsim.log import headers as h
from fraudsim.log.clock import Clock
from fraudsim.log.clock_log import ClockLog
from fraudsim.log.events import Transaction, encoder
from fraudsim.log.partitioning import partition_of
from fraudsim.log.topics import TRANSACTIONS, create_topics
from fraudsim.polling import poll_until
from fraudsim.settings import Settings, variable
from load_tests.benches.stream.checks import answers_since, check_each_answered_once, check_ours
from load_tests.benches.stream.contestants import OURS, Contestant
from load_tests.rig.cores import Cores, cpu_s, family, machine_cpu_s, pinned
from load_tests.rig.primed_world import prime_world
from load_tests.rivals.scoring_setup import SCORES, VARIABLE, Given
from producers.sources.world_source import WorldSource
from producers.world.world import World, WorldConfig
from runner.stack.ports import free_port
from runner.stack.stack import start_stack
from runner.supervise.supervisor import Part, Supervisor
from stream_features.catalogue.features import DAY

DAYS: Final = 40
SEED: Final = 7
HORIZON_MS: Final = 5 * DAY
"""How far the worker may be ahead of who scores, in event time: some 20,000 transactions of this world."""
DEADLINE_MS: Final = 1_000
WINDOW: Final = 2_000
"""Transactions under way: sent, and not answered yet."""
LOOK_S: Final = 0.01
QUIET_S: Final = 1.0
READY_S: Final = 120.0
LONGEST_S: Final = 300.0
WORKER: Final = "worker"


@dataclass
class Measured:
    """What the turns of a contestant gave."""

    per_second: list[float] = field(default_factory=list)
    cpu_us: list[float] = field(default_factory=list)
    others: list[float] = field(default_factory=list)
    """Cores that the rest of the machine used meanwhile."""
    of_ours: dict[str, float] = field(default_factory=dict)


class Arena:
    """The stack with a primed state and a worker, and the world's next transactions."""

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
        self._made = prime_world(folder, world, DAYS, self._settings, HORIZON_MS)
        (folder / "model.ubj").write_bytes(self._made.model.ubj)
        ClockLog(self._settings.kafka_bootstrap, Clock()).append(self._made.segment)
        items = WorldSource(world, DAYS, labels=False).items()
        self._next = (item.event for item in items if isinstance(item.event, Transaction))
        self._ends = KafkaConsumer(bootstrap_servers=addresses.kafka_bootstrap)
        from confluent_kafka import Producer

        self._producer = Producer(
            {"bootstrap.servers": addresses.kafka_bootstrap, "enable.idempotence": True, "log_level": 0}
        )
        self._start(WORKER, ("-m", "fraudsim", WORKER), {})

    def close(self) -> None:
        """Let go of Kafka."""
        self._ends.close()

    def run(self, contestant: Contestant, count: int, measured: Measured) -> None:
        """One turn."""
        port = free_port()
        given = Given(
            port=port, metrics_port=0, redis_url=self._settings.redis_url,
            model_dir=str(self._made.model_dir), xgboost_model=str(self._folder / "model.ubj"),
            segment=self._made.segment, kafka_bootstrap=self._settings.kafka_bootstrap,
            partitions=self._settings.partitions,
        )  # fmt: skip
        (self._folder / "given.json").write_bytes(encoder.encode(given))
        env = {
            VARIABLE: str(self._folder / "given.json"),
            variable("http_port"): str(port),
            variable("model_dir"): given.model_dir,
            variable("deadline_ms"): str(DEADLINE_MS),
            "OMP_NUM_THREADS": "1",
        }
        with pinned(self._cores.server):
            pid = self._start(contestant.name, contestant.argv, env)
        self._wait_until_it_answers(contestant)
        answered = self._answered(contestant.topic)
        first = self._in(contestant.topic)
        asked = list(itertools.islice(self._next, count))
        processes = family(pid)
        mine = [*processes, *family(os.getpid())]
        used_s, mine_s, all_s = cpu_s(processes), cpu_s(mine), machine_cpu_s()
        began_s = time.perf_counter()
        self._pump(contestant, asked, answered)
        took_s = time.perf_counter() - began_s
        measured.per_second.append(count / took_s)
        measured.cpu_us.append((cpu_s(processes) - used_s) / count * 1e6)
        measured.others.append(max(0.0, machine_cpu_s() - all_s - (cpu_s(mine) - mine_s)) / took_s)
        self._supervisor.stop(contestant.name)
        answers = answers_since(self._settings.kafka_bootstrap, first)
        check_each_answered_once(contestant.name, asked, answers)
        if contestant is OURS:
            measured.of_ours = check_ours(answers, self._made.model)

    def _start(self, name: str, argv: Sequence[str], env: dict[str, str]) -> int:
        env = {
            **os.environ,
            variable("kafka_bootstrap"): self._settings.kafka_bootstrap,
            variable("redis_url"): self._settings.redis_url,
            variable("metrics_port"): "0",
            **env,
        }
        return self._supervisor.start(Part(name, [sys.executable, *argv], env, restart=False))

    def _wait_until_it_answers(self, contestant: Contestant) -> None:
        """Until a transaction that is sent now is answered, and nothing is left to be answered."""
        before, tries = self._answered(contestant.topic), 0

        def answers() -> bool:
            nonlocal tries
            tries += 1
            if tries % 50 == 1:
                self._send(next(self._next))
                self._producer.flush()
            self._see(contestant.name)
            return self._answered(contestant.topic) > before

        if not poll_until(answers, READY_S, every_s=LOOK_S):
            raise FraudsimError(f"bench stream: no answer: {self._last(contestant.name)}")
        last, since_s = -1, 0.0

        def none_left() -> bool:
            nonlocal last, since_s
            found = self._answered(contestant.topic)
            if contestant is OURS:  # goes on where it was; a rival begins with what comes next
                return found == self._sent
            if found != last:
                last, since_s = found, time.monotonic()
            return time.monotonic() - since_s > QUIET_S

        if not poll_until(none_left, LONGEST_S, every_s=LOOK_S):
            raise FraudsimError(f"bench stream: {contestant.name} does not come to the log's end")

    def _pump(self, contestant: Contestant, transactions: Sequence[Transaction], answered: int) -> None:
        """Send them all, a window of them under way, and wait for the last answer."""
        sent = 0

        def all_answered() -> bool:
            nonlocal sent
            done = self._answered(contestant.topic) - answered
            for tx in transactions[sent : done + WINDOW]:
                self._send(tx)
                sent += 1
            self._producer.poll(0)
            self._see(contestant.name)
            return done >= len(transactions)

        if not poll_until(all_answered, LONGEST_S, every_s=LOOK_S):
            raise FraudsimError(
                f"bench stream: not all of {sent:,} are answered: {self._last(contestant.name)}"
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

    def _in(self, topic: str) -> dict[TopicPartition, int]:
        tps = [TopicPartition(topic, p) for p in range(self._settings.partitions)]
        found: dict[TopicPartition, int] = self._ends.end_offsets(tps)
        return found

    def _answered(self, topic: str) -> int:
        return sum(self._in(topic).values())

    def _see(self, name: str) -> None:
        for each in (name, WORKER):
            if self._supervisor.pid(each) is None:
                raise FraudsimError(f"bench stream: {each} has ended: {self._last(each)}")

    def _last(self, name: str) -> str:
        return " | ".join(self._supervisor.last_output(name, 3))
