"""Workers as processes on a stack of their own, whose calls to Redis a test can hold, cut or pass on."""

import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import urlsplit

import numpy as np
from aiokafka import TopicPartition
from kafka import KafkaProducer
from redis import Redis

from fraudsim.log import headers as h
from fraudsim.log.clock_log import next_segment, start_log
from fraudsim.log.consumer import existing_partitions, log_ranges
from fraudsim.log.events import Label, Transaction, encoder
from fraudsim.log.partitioning import slot_of
from fraudsim.log.topics import DEAD_LETTERS, LABELS, TRANSACTIONS, create_topics
from fraudsim.polling import poll_until
from fraudsim.settings import Settings
from runner.stack.stack import StackAddresses
from stream_features.catalogue.features import WINDOWED
from stream_features.encode import ROW_OF, label_row
from stream_features.kernels import state as states
from stream_features.kernels.state import Vector
from stream_features.store.keys import blob_key, watermark_key
from stream_features.store.prime import prime
from stream_features.store.watermark import Watermark, decode_watermark
from stream_features.vector import keys_of, vector

WAIT_S: Final = 60.0
CUT: Final = 40
"""Bytes of a script call that are passed on before it is cut."""

StopPoint = Literal["before", "half", "after"]
"""Where a gate stops: before a script call, in its middle, or after it."""


class RedisGate:
    """A proxy before Redis. Once armed, it stops at the next script call."""

    def __init__(self, redis_url: str) -> None:
        url = urlsplit(redis_url)
        self._redis = (url.hostname, url.port or 6379)
        self._server = socket.create_server(("127.0.0.1", 0))
        credentials, at, _ = url.netloc.rpartition("@")
        self.url = url._replace(netloc=f"{credentials}{at}127.0.0.1:{self._server.getsockname()[1]}").geturl()
        self.reached = threading.Event()
        self._open = threading.Event()
        self._stop_at: StopPoint | None = None
        self._touching = b""
        self._dropped = False
        threading.Thread(target=self._accept, daemon=True).start()

    def arm(self, stop_at: StopPoint, slot: int | None = None) -> None:
        """Stop at the next script call, or with `slot` at the next one that touches this slot.

        Args:
            stop_at: `before` the call is passed on, with `half` of it passed on, or `after` all of it.
        """
        self.reached.clear()
        self._open.clear()
        self._touching = b"" if slot is None else f"{{s{slot}}}:".encode()
        self._stop_at = stop_at

    def open(self) -> None:
        """Pass on what is held."""
        self._stop_at = None
        self._open.set()

    def drop(self) -> None:
        """Discard what is held, and close its connection."""
        self._dropped = True
        self.open()

    def _accept(self) -> None:
        while True:
            client, _ = self._server.accept()
            redis = socket.create_connection(self._redis)
            answering = threading.Event()
            answering.set()
            threading.Thread(target=self._pass_on, args=(client, redis, answering), daemon=True).start()
            threading.Thread(target=self._answer, args=(redis, client, answering), daemon=True).start()

    def _pass_on(self, client: socket.socket, redis: socket.socket, answering: threading.Event) -> None:
        try:
            while data := client.recv(1 << 20):
                start = data.find(b"EVALSHA")
                if start >= 0 and self._stop_at and self._touching in data[start:]:
                    stop_at, self._stop_at = self._stop_at, None
                    passed = {"before": 0, "half": start + CUT, "after": len(data)}[stop_at]
                    answering.clear()
                    redis.sendall(data[:passed])
                    self.reached.set()
                    self._open.wait()
                    if self._dropped:
                        return
                    data = data[passed:]
                    answering.set()
                redis.sendall(data)
        except OSError:
            pass
        finally:
            redis.close()

    @staticmethod
    def _answer(redis: socket.socket, client: socket.socket, answering: threading.Event) -> None:
        try:
            while data := redis.recv(1 << 20):
                answering.wait()
                client.sendall(data)
        except OSError:
            pass
        finally:
            client.close()


@dataclass
class WorkerProcess:
    """One worker process, and the gate between it and Redis."""

    process: subprocess.Popen[bytes]
    gate: RedisGate
    output: Path

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        self.gate.drop()

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def has_logged(self, text: str) -> bool:
        return text in self.output.read_text()

    def first_log_line(self, event: str) -> str:
        """The first line of its log with an event, or an empty one."""
        return next((line for line in self.output.read_text().splitlines() if event in line), "")


@dataclass
class WorkerLab:
    """A log, its state in Redis, and the workers that fold it."""

    addresses: StackAddresses
    folder: Path
    session_timeout_ms: int = 1_500
    workers: list[WorkerProcess] = field(default_factory=list)
    _number: int = 0

    def __post_init__(self) -> None:
        self.settings = Settings(
            _env_file=None,
            kafka_bootstrap=self.addresses.kafka_bootstrap,
            redis_url=self.addresses.redis_url,
            session_timeout_ms=self.session_timeout_ms,
        )
        self.temporary = self.folder / "temporary"
        """The workers' folder for temporary files."""
        self.temporary.mkdir()
        create_topics(self.settings)
        log = start_log(self.settings, int(time.time() * 1000), 1.0, "", "")
        log.append(next_segment(log.clock, 1.0, log.clock.first.event_epoch_ms, int(time.time() * 1000)))
        self.clock = log.clock
        self.redis: Any = Redis.from_url(self.addresses.redis_url)
        prime(self.settings, self.clock.first, {}, "")
        self._producer = KafkaProducer(bootstrap_servers=[self.addresses.kafka_bootstrap], acks="all")
        self._random = random.Random(5)
        self._sent: list[Transaction] = []
        self._labels: dict[tuple[str, str, int], Label] = {}

    def single_worker(self) -> WorkerProcess:
        """The only running worker: an earlier one, or a new one. Others are killed."""
        self.workers = [worker for worker in self.workers if worker.process.poll() is None]
        for worker in self.workers[1:]:
            worker.kill()
        del self.workers[1:]
        return self.workers[0] if self.workers else self.start()

    def start(
        self,
        stop_at: StopPoint | None = None,
        slot: int | None = None,
        options: Sequence[str] = (),
        command: Sequence[str] = (sys.executable, "-m", "fraudsim", "worker"),
        name: str | None = None,
    ) -> WorkerProcess:
        """Start one more worker, with its gate armed if `stop_at` is given.

        Args:
            options: of `command`.
            name: the worker's; by default one of its own.
        """
        gate = RedisGate(self.addresses.redis_url)
        if stop_at is not None:
            gate.arm(stop_at, slot)
        self._number += 1
        output = self.folder / f"worker-{self._number}.log"
        variables = {
            "FRAUDSIM_KAFKA_BOOTSTRAP": self.settings.kafka_bootstrap,
            "FRAUDSIM_REDIS_URL": gate.url,
            "FRAUDSIM_SESSION_TIMEOUT_MS": str(self.settings.session_timeout_ms),
            "FRAUDSIM_CATCH_UP_BEYOND": "1000",
            "FRAUDSIM_WORKER_NAME": name or f"worker-{self._number}",
            "FRAUDSIM_METRICS_PORT": "0",
            "TMPDIR": str(self.temporary),
        }
        with output.open("wb") as out:
            process = subprocess.Popen(
                [*command, *options],
                env=os.environ | variables,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.workers.append(WorkerProcess(process, gate, output))
        return self.workers[-1]

    def stop_workers(self) -> None:
        """Kill the workers that still run."""
        for worker in self.workers:
            worker.gate.open()
            if worker.process.poll() is None:
                worker.signal(signal.SIGCONT)
                worker.kill()
        self.workers.clear()

    def send(self, count: int) -> None:
        """Append transactions to the log, every tenth with a label of an earlier one."""
        rng = self._random
        for _ in range(count):
            number, now_ms = len(self._sent), self.clock.now_ms(int(time.time() * 1000))
            tx = Transaction(
                tx_id=f"t{number}",
                ts=now_ms - rng.randrange(2_000),
                card_id=f"c{rng.randrange(60)}",
                merchant_id=f"m{rng.randrange(8)}",
                device_id=f"d{rng.randrange(60)}",
                ip=f"10.0.0.{rng.randrange(20)}",
                amount_cents=rng.randrange(1, 90_000),
            )
            self.append(tx)
            if number % 10 == 9:
                labelled = rng.choice(self._sent)
                label = Label(
                    tx_id=labelled.tx_id,
                    card_id=labelled.card_id,
                    merchant_id=labelled.merchant_id,
                    ts=labelled.ts,
                    amount_cents=labelled.amount_cents,
                    is_fraud=rng.random() < 0.7,
                    source=rng.choice(("analyst", "customer", "chargeback")),
                    known_at=now_ms,
                )
                self.append(label)
        self.flush()

    def flush(self) -> None:
        """Wait until the log has acknowledged everything appended."""
        self._producer.flush()

    def append(self, event: Transaction | Label) -> None:
        """Append one record to the log."""
        if isinstance(event, Transaction):
            self._sent.append(event)
        else:
            # Labels are unique by transaction, source and time; the first counts.
            self._labels.setdefault((event.tx_id, event.source, event.known_at), event)
        topic = TRANSACTIONS if isinstance(event, Transaction) else LABELS
        segment = [(h.SEGMENT, h.encode_int(self.clock.current.number))]
        self._producer.send(topic, key=event.card_id.encode(), value=encoder.encode(event), headers=segment)

    def dead_letters(self) -> int:
        """Number of records that the workers have written to the dead letters."""
        return sum(self._ends(DEAD_LETTERS))

    def features_of(self, at_hand: Transaction) -> Vector:
        """The vector from the states in Redis alone, without unfolded log, shape (features,)."""
        names = {e: blob_key(slot_of(e, key, self.settings.slots), e, key) for e, key in keys_of(at_hand)}
        blobs = {entity: self.redis.get(name) for entity, name in names.items()}
        key_states = {entity: states.from_bytes(entity, blob) for entity, blob in blobs.items()}
        return vector(at_hand, key_states, self.clock.horizon_ms)[0]

    def ends(self) -> list[int]:
        """The last offset of the log, by source."""
        return [end - 1 for topic in (TRANSACTIONS, LABELS) for end in self._ends(topic)]

    def _ends(self, topic: str) -> list[int]:
        """The offset after the last one, by partition."""
        bootstrap = self.addresses.kafka_bootstrap
        tps = [TopicPartition(topic, p) for p in existing_partitions(bootstrap, [topic])[topic]]
        return [end for _, end in log_ranges(bootstrap, tps).values()]

    def watermarks(self) -> list[Watermark | None]:
        """Each slot's watermark, None where it has none."""
        stored = self.redis.mget([watermark_key(s) for s in range(self.settings.slots)])
        return [value and decode_watermark(value) for value in stored]

    def await_folded(self) -> None:
        """Wait until every slot has folded the whole log."""
        ends = tuple(self.ends())

        def all_folded() -> bool:
            return all(watermark is not None and watermark.offsets == ends for watermark in self.watermarks())

        assert poll_until(all_folded, WAIT_S), (
            ends,
            self.watermarks(),
            [w.output.read_text() for w in self.workers],
        )

    def check_state(self) -> None:
        """Wait until all is folded; assert each key's state, in canonical form, against the events sent."""
        self.await_folded()
        expected = {
            blob_key(slot_of(*key, self.settings.slots), *key): (key[0], blob)
            for key, blob in self._expected_states().items()
        }
        names = [key.decode() for entity in WINDOWED for key in self.redis.keys(f"*:{entity}:*")]
        assert sorted(names) == sorted(expected)
        for name, blob in zip(names, self.redis.mget(names), strict=True):
            entity, canonical_bytes = expected[name]
            assert states.canonical(entity, blob, self.clock.horizon_ms) == canonical_bytes, name

    def _expected_states(self) -> dict[tuple[str, str], bytes]:
        rows: dict[tuple[str, str], list[Any]] = defaultdict(list)
        labels: dict[tuple[str, str], list[Any]] = defaultdict(list)
        for tx in self._sent:
            for key in keys_of(tx):
                rows[key].append(ROW_OF[key[0]](tx))
        for label in self._labels.values():
            labels["merchant", str(label.merchant_id)].append(label_row(label))
        result = {}
        for key in rows:
            key_labels = np.array(labels[key], np.int64) if key in labels else states.NO_LABELS
            whole = states.fold(
                key[0], states.empty(key[0]), np.array(rows[key], np.int64), key_labels, self.clock.horizon_ms
            )
            result[key] = states.to_bytes(whole)
        return result
