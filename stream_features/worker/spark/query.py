"""One streaming query: Spark chooses the offsets of each batch, and this runs its tasks.

Spark's Kafka source plans: it asks for the log's ends at each trigger, bounds a batch, and notes both in the
checkpoint. The records themselves are read by the tasks, through `fraudsim.log.consumer`: Spark's own reader
unpacks without bounds, where half a megabyte may hold five hundred, and gives such batches and unreadable
headers in another form than the one on which acceptance rests.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from fraudsim import metrics
from fraudsim.errors import FraudsimError
from fraudsim.log.clock import Clock
from fraudsim.log.topics import LABELS, TRANSACTIONS
from fraudsim.settings import Settings
from stream_features.store.watermark import decode_watermark
from stream_features.worker.spark.batch_plan import BatchPlan, planned_ends, starting_offsets
from stream_features.worker.spark.executor_process import accepting, folding
from stream_features.worker.spark.log_watch import LogWatch
from stream_features.worker.spark.slot_fold import SlotOutcome, decode_outcome

RECORDS_PER_BATCH: Final = 200_000
"""Most records of a batch, at least …"""
RECORDS_PER_S: Final = 20_000
"""… or this many for each second of the trigger: rows of a batch are held in memory, some 300 bytes each."""


class BatchFailedError(Exception):
    """A slot's part of a batch was not folded. A new query starts from the watermarks."""

    def __init__(self, outcomes: Sequence[SlotOutcome]) -> None:
        super().__init__("; ".join(sorted({outcome.detail for outcome in outcomes})))
        self.outcomes = tuple(outcomes)


class Homes:
    """Gives each Kafka partition's tasks to the executor that accepted it before, while that lives.

    A cached partition of an RDD draws the tasks that are made of it: Spark's own means, without an address.
    """

    def __init__(self, context: Any, partitions: int) -> None:
        self._context = context
        self._homes = context.parallelize(range(partitions), partitions).persist()
        self._homes.count()

    def run(self, plan: BatchPlan) -> list[SlotOutcome]:
        """Run a batch: one task for each partition accepts it; after all of them, others fold the slots."""
        slots = plan.settings.slots
        tasks = max(1, min(slots, self._context.defaultParallelism))
        packets = self._homes.mapPartitionsWithIndex(accepting(plan))
        outcomes = packets.partitionBy(tasks, _Modulo(tasks)).mapPartitions(folding(plan)).collect()
        return [decode_outcome(outcome) for outcome in outcomes]

    def fold_without_rows(self, plan: BatchPlan, slots: Sequence[int]) -> list[SlotOutcome]:
        """Advance slots for which a batch has no packet."""
        nothing = self._context.parallelize([(slot, b"") for slot in slots], 1)
        return [decode_outcome(outcome) for outcome in nothing.mapPartitions(folding(plan)).collect()]


class _Modulo:
    def __init__(self, tasks: int) -> None:
        self._tasks = tasks

    def __call__(self, slot: int) -> int:
        return slot % self._tasks

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Modulo) and other._tasks == self._tasks

    def __hash__(self) -> int:
        return hash(self._tasks)


class FoldQuery:
    """A query over a log, from the smallest watermark on; `start` it."""

    def __init__(
        self,
        settings: Settings,
        clock: Clock,
        stored: dict[int, bytes],
        log_begins: Sequence[int],
        watch: LogWatch,
        homes: Homes,
        checkpoint: Path,
    ) -> None:
        """
        Args:
            stored: each slot's encoded watermark, as Redis has it.
            log_begins: first offset that the log holds, by source.
            checkpoint: a new folder.
        """
        self._settings = settings
        self._segment = clock.first
        self._stored = stored
        self._log_begins = log_begins
        self._watch = watch
        self._homes = homes
        self._checkpoint = checkpoint
        self.starts = self._folded_to()
        """First offset of the next batch, by source."""
        self.batches = 0
        """Batches folded."""
        self.failure: BaseException | None = None
        """What ended the query, where a batch did."""

    def _folded_to(self) -> list[int]:
        watermarks = [decode_watermark(value) for value in self._stored.values()]
        return [min(offsets) + 1 for offsets in zip(*(w.offsets for w in watermarks), strict=True)]

    def start(self, session: Any, trigger_ms: int) -> Any:
        """Start the query. Returns Spark's handle of it.

        Raises:
            FraudsimError: Spark was started without the connector.
        """
        self._watch.set_folded(dict(self._stored), self.starts)
        return (
            self._log_of(session, trigger_ms)
            .writeStream.foreachBatch(self._guarded(self._fold))
            .option("checkpointLocation", self._checkpoint.as_uri())
            .trigger(processingTime=f"{trigger_ms} milliseconds")
            .start()
        )

    def _log_of(self, session: Any, trigger_ms: int) -> Any:
        source = (
            session.readStream.format("kafka")
            .option("kafka.bootstrap.servers", self._settings.kafka_bootstrap)
            .option("subscribe", f"{TRANSACTIONS},{LABELS}")
            .option("startingOffsets", starting_offsets(self.starts, self._settings.partitions))
            .option("maxOffsetsPerTrigger", max(RECORDS_PER_BATCH, RECORDS_PER_S * trigger_ms // 1000))
        )
        try:
            return source.load()
        except Exception as error:  # PySpark's AnalysisException, without importing PySpark here
            if "data source: kafka" in str(error):
                raise FraudsimError(
                    "Spark was started without its connector to Kafka: give spark-submit "
                    '--jars "$(fraudsim features connector)"'
                ) from None
            raise

    def _guarded(self, fold: Callable[[int], None]) -> Callable[[Any, int], None]:
        """Spark's callback, which keeps an exception as it is: Spark would pass on its text alone."""

        def on_batch(_: Any, batch_id: int) -> None:
            try:
                fold(batch_id)
            except BaseException as error:
                self.failure = error
                raise

        return on_batch

    def _fold(self, batch_id: int) -> None:
        settings = self._settings
        ends = planned_ends(self._checkpoint, batch_id, settings.partitions)
        plan = BatchPlan(
            settings, self._segment, self.starts, ends, self._log_begins, self._home_offsets(),
            self._watch.begin_batch(ends),
        )  # fmt: skip
        outcomes = self._homes.run(plan)
        absent = sorted(self._stored.keys() - {outcome.slot for outcome in outcomes})
        if absent:
            outcomes += self._homes.fold_without_rows(plan, absent)
        self._count(outcomes)
        failed = [outcome for outcome in outcomes if outcome.kind != "folded"]
        self._stored |= {outcome.slot: outcome.stored for outcome in outcomes if outcome.kind == "folded"}
        if failed:
            raise BatchFailedError(failed)
        self.starts = ends
        self.batches += 1
        self._watch.set_folded(dict(self._stored), ends)

    def _home_offsets(self) -> list[int]:
        """By source, the last offset that its home slot has folded."""
        n, slots = self._settings.partitions, self._settings.slots
        return [decode_watermark(self._stored[source % n % slots]).offsets[source] for source in range(2 * n)]

    def _count(self, outcomes: Sequence[SlotOutcome]) -> None:
        """Metrics of what was folded, and of what was refused."""
        transactions, n = 0, self._settings.partitions
        for outcome in outcomes:
            if outcome.kind in ("fenced", "behind"):
                metrics.FENCED.inc()
            elif outcome.kind == "redis_full":
                metrics.REDIS_FULL.inc()
            if outcome.unreadable:
                metrics.TRANSACTIONS.labels("folded", "unreadable_state").inc(outcome.unreadable)
            for source, counts in outcome.counts.items():
                kind = metrics.LABELS if source >= n else metrics.TRANSACTIONS
                kind.labels("folded", "ok").inc(counts.accepted)
                transactions += counts.accepted if source < n else 0
                if counts.duplicates:
                    metrics.TRANSACTIONS.labels("folded", "duplicate").inc(counts.duplicates)
                for name, count in counts.dead_letters.items():
                    metrics.DEAD_LETTERS.labels(name).inc(count)
        metrics.FOLD_BATCH.observe(transactions)
