"""`fraudsim bench stream`: decisions a second from Kafka to Kafka, beside who else scores a stream."""

import itertools
import os
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
from kafka import KafkaAdminClient, KafkaConsumer, TopicPartition
from kafka.admin import NewTopic

from fraudsim import headers as h
from fraudsim.clock import Clock
from fraudsim.clock_log import ClockLog
from fraudsim.errors import FraudsimError, InvariantError
from fraudsim.events import Decision, Segment, Transaction, decode_decision, encoder
from fraudsim.settings import Settings, variable
from fraudsim.slots import partition_of
from fraudsim.topics import DECISIONS, TRANSACTIONS, create_topics
from fraudsim.waiting import poll_until
from load_tests.cores import Cores, cpu_s, family, machine_cpu_s, pinned, two_cores
from load_tests.machine import machine
from load_tests.rivals.common import SCORES, VARIABLE, Given, open_booster
from model.artefact import load_model
from model.train import train_model
from producers.history_writer import write_history
from producers.world import World, WorldConfig
from producers.world_source import WorldSource
from runner.ports import free_port
from runner.stack import start_stack
from runner.supervisor import Part, Supervisor
from stream_features.catalogue import DAY
from stream_features.prime import prime, read_history_tables, state_of_history

CARDS: Final = 5_000
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
CHECKED: Final = 200
TOLERANCE: Final = 1e-6
WORKER: Final = "worker"
PROTOCOL: Final = (
    "A made world of {cards:,} cards goes on after {days} days of history, whose state is in Redis and of "
    "which the model was trained. Its transactions go to Kafka as fast as they are answered, {window:,} "
    "under way at most; the feature worker folds them meanwhile. Contestants take turns, {pinning}; Kafka "
    "and the worker are on the driver's core too. fraudsim is the whole scorer: it judges each record, reads "
    "features of state and unfolded tail, decides by model, rules and policy, explains what it does not "
    "approve, and writes the decision, idempotently; its deadline is {deadline:,} ms, as all cores are full "
    "(by default the stream would rather decide without state than wait for 200). The rivals read the state "
    "alone and write a score. All use our feature read, and the same XGBoost model; ours as compiled trees. "
    "Each answer is counted in its topic, and after each turn no transaction may be without one or have two; "
    "none of ours may be degraded, and {checked} of its scores must be XGBoost's own of the decision's "
    "features to {tolerance:g}. CPU is of the contestant's process, for each transaction; `per_core` is what "
    "a core would do by it alone."
)


@dataclass(frozen=True)
class Contestant:
    """Who scores: how it is started, and where its answers are."""

    name: str
    argv: tuple[str, ...]
    topic: str
    share: float
    """Of the transactions of a turn."""


OURS: Final = Contestant("fraudsim", ("-m", "fraudsim", "scorer"), DECISIONS, 1.0)
CONTESTANTS: Final = (
    OURS,
    Contestant("aiokafka+xgboost", ("-m", "load_tests.rivals.aiokafka_xgboost"), SCORES, 1.0),
    Contestant("faust+xgboost", ("-m", "load_tests.rivals.faust_xgboost"), SCORES, 0.1),
)


@dataclass
class Measured:
    """What the turns of a contestant gave."""

    per_second: list[float] = field(default_factory=list)
    cpu_us: list[float] = field(default_factory=list)
    others: list[float] = field(default_factory=list)
    """Cores that the rest of the machine used meanwhile."""
    of_ours: dict[str, float] = field(default_factory=dict)


def bench_stream(
    events: int, turns: int, only: Sequence[str] = (), say: Callable[[str], None] = lambda _: None
) -> dict[str, Any]:
    """The whole report, ready for JSON, on a stack that is started for it.

    Raises:
        FraudsimError: `only` names nobody; a contestant cannot be started, or does not get on.
        InvariantError: one left out a transaction or scored one otherwise than the model.
    """
    names = [each.name for each in CONTESTANTS]
    for name in only:
        if name not in names:
            raise FraudsimError(f"bench stream: --only {name}: there are {', '.join(names)}")
    chosen = [each for each in CONTESTANTS if not only or each.name in only]
    cores = two_cores()
    measured = {each.name: Measured() for each in chosen}
    with (
        tempfile.TemporaryDirectory() as folder,
        Supervisor(Path(folder) / "logs") as supervisor,
        pinned(cores.driver),
    ):
        arena = Arena(Path(folder), supervisor, cores)
        for _ in range(turns):
            for each in chosen:
                arena.run(each, round(events * each.share), measured[each.name])
                say(f"{each.name}: {measured[each.name].per_second[-1]:,.0f} a second")
        arena.close()
    results = [_result(name, its) for name, its in measured.items()]
    value = {each["name"]: each["value"] for each in results}
    cpu = {each["name"]: each["cpu_us"] for each in results}
    rivals = [name for name in value if name != OURS.name and OURS.name in value]
    return {
        "machine": machine(("faust-streaming", "aiokafka", "xgboost", "numba")),
        "protocol": PROTOCOL.format(
            cards=CARDS,
            days=DAYS,
            window=WINDOW,
            pinning=cores.said,
            deadline=DEADLINE_MS,
            checked=CHECKED,
            tolerance=TOLERANCE,
        ),
        "configuration": {"events": events, "turns": turns, "seed": SEED},
        "results": results,
        "ratios": {name: round(value[OURS.name] / value[name], 2) for name in rivals},
        "cpu_ratios": {name: round(cpu[name] / cpu[OURS.name], 2) for name in rivals},
    }


class Arena:
    """The stack with a primed state and a worker, and the world's next transactions."""

    def __init__(self, folder: Path, supervisor: Supervisor, cores: Cores) -> None:
        self._folder = folder
        self._supervisor = supervisor
        self._cores = cores
        addresses = start_stack(folder / "stack", Settings(_env_file=None), supervisor)
        self._settings = Settings(
            _env_file=None, kafka_bootstrap=addresses.kafka_bootstrap, redis_url=addresses.redis_url
        )
        create_topics(self._settings)
        admin = KafkaAdminClient(bootstrap_servers=addresses.kafka_bootstrap)
        admin.create_topics([NewTopic(SCORES, self._settings.partitions, 1)])
        admin.close()
        self._world()
        self._ends = KafkaConsumer(bootstrap_servers=addresses.kafka_bootstrap)
        from confluent_kafka import Producer

        self._producer = Producer(
            {"bootstrap.servers": addresses.kafka_bootstrap, "enable.idempotence": True, "log_level": 0}
        )
        self._start(WORKER, ("-m", "fraudsim", WORKER), {})

    def _world(self) -> None:
        """Train on a history, prime its state, and go on after it."""
        world = World(WorldConfig(cards=CARDS, seed=SEED))
        manifest = write_history(self._folder / "history", world, DAYS)
        train_model(self._folder / "history", self._folder / "model", self._settings)
        self._model = load_model(self._folder / "model")
        (self._folder / "model.ubj").write_bytes(self._model.ubj)
        self._segment = Segment(
            log_id=uuid.uuid4().hex, number=0, event_epoch_ms=manifest.end_ms,
            wall_epoch_ms=int(time.time() * 1000), speed=1.0, past_ms=DAY, future_ms=365 * DAY,
            horizon_ms=HORIZON_MS,
        )  # fmt: skip
        ClockLog(self._settings.kafka_bootstrap, Clock()).append(self._segment)
        table = state_of_history(*read_history_tables(self._folder / "history"), manifest.end_ms, HORIZON_MS)
        prime(self._settings, self._segment, table, "")
        items = WorldSource(world, DAYS, labels=False).items()
        self._next = (item.event for item in items if isinstance(item.event, Transaction))

    def close(self) -> None:
        """Let go of Kafka."""
        self._ends.close()

    def run(self, contestant: Contestant, count: int, measured: Measured) -> None:
        """One turn."""
        port = free_port()
        given = Given(
            port=port, metrics_port=0, redis_url=self._settings.redis_url,
            model_dir=str(self._folder / "model"), xgboost_model=str(self._folder / "model.ubj"),
            segment=self._segment, kafka_bootstrap=self._settings.kafka_bootstrap,
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
        self._check(contestant, asked, first, measured)

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

        def quiet() -> bool:
            nonlocal last, since_s
            found = self._answered(contestant.topic)
            if found != last:
                last, since_s = found, time.monotonic()
            return time.monotonic() - since_s > QUIET_S

        if not poll_until(quiet, LONGEST_S, every_s=LOOK_S):
            raise FraudsimError(f"bench stream: {contestant.name} does not come to the log's end")

    def _pump(self, contestant: Contestant, transactions: Sequence[Transaction], answered: int) -> None:
        """Send them all, a window of them under way, and wait for the last answer."""
        sent, give_up_s = 0, time.monotonic() + LONGEST_S
        while (done := self._answered(contestant.topic) - answered) < len(transactions):
            for tx in transactions[sent : done + WINDOW]:
                self._send(tx)
                sent += 1
            self._producer.poll(0)
            self._see(contestant.name)
            if time.monotonic() > give_up_s:
                raise FraudsimError(
                    f"bench stream: {done:,} of {sent:,} are answered: {self._last(contestant.name)}"
                )
            time.sleep(LOOK_S)

    def _send(self, tx: Transaction) -> None:
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

    def _check(
        self,
        contestant: Contestant,
        asked: Sequence[Transaction],
        first: dict[TopicPartition, int],
        measured: Measured,
    ) -> None:
        """Raise InvariantError unless each was answered once, and ours as the model says."""
        answers = self._read(first)
        if sorted(tx.tx_id for tx in asked) != sorted(msgspec.json.decode(a)["tx_id"] for a in answers):
            raise InvariantError(f"bench stream: {contestant.name} did not answer each transaction once")
        if contestant is not OURS:
            return
        decisions = [decode_decision(answer) for answer in answers]
        degraded = sum(decision.degraded for decision in decisions)
        if degraded:
            raise InvariantError(f"bench stream: {degraded:,} of {len(decisions):,} decisions are degraded")
        self._check_scores(decisions[:: max(1, len(decisions) // CHECKED)])
        measured.of_ours = {
            "staleness_p50_ms": round(statistics.median(decision.staleness_ms for decision in decisions), 1),
            "stale_share": round(sum(decision.stale for decision in decisions) / len(decisions), 4),
            "explained_share": round(sum(d.action != "approve" for d in decisions) / len(decisions), 4),
        }

    def _check_scores(self, decisions: Sequence[Decision]) -> None:
        rows = np.array([decision.features for decision in decisions], np.float32)
        scores = open_booster(self._model).inplace_predict(rows)
        for decision, score in zip(decisions, scores.tolist(), strict=True):
            if not abs(decision.score - score) <= TOLERANCE:
                raise InvariantError(
                    f"bench stream: {decision.tx_id}: score {decision.score!r}, the model's is {score!r}"
                )

    def _read(self, first: dict[TopicPartition, int]) -> list[bytes]:
        """The values of a topic from these offsets to its end."""
        consumer = KafkaConsumer(bootstrap_servers=self._settings.kafka_bootstrap)
        try:
            ends = consumer.end_offsets(list(first))
            consumer.assign(list(first))
            for tp, offset in first.items():
                consumer.seek(tp, offset)
            values: list[bytes] = []
            while any(consumer.position(tp) < end for tp, end in ends.items()):
                for records in consumer.poll(1_000, max_records=5_000).values():
                    values += [record.value for record in records]
            return values
        finally:
            consumer.close()


def _result(name: str, its: Measured) -> dict[str, Any]:
    """Medians over the turns."""
    cpu_us = statistics.median(its.cpu_us)
    return {
        "name": name,
        "value": round(statistics.median(its.per_second)),
        "unit": "transactions/s",
        "cpu_us": round(cpu_us, 1),
        "per_core": round(1e6 / cpu_us),
        "turns": [round(value) for value in its.per_second],
        "others_core_share": round(statistics.median(its.others), 2),
        **its.of_ours,
    }
