"""The worlds on which trainings are compared: our own, one after the Handbook, and files of known layouts.

What takes long, features, is kept in a folder, so that an interrupted search goes on where it stopped.
"""

import hashlib
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from fraudsim.arrays import Floats, Ints
from fraudsim.errors import FraudsimError
from fraudsim.whole_files import write_whole
from model.training.label_knowledge import LabelKnowledge
from model.tuning.handbook_like import HandbookLike
from model.tuning.validation_folds import (
    FoldDays,
    FoldRows,
    ValidationFold,
    prequential_folds,
    rows_of_fold,
)
from producers.datasets.registry import read_dataset
from producers.history.reader import read_history
from producers.history.writer import write_history
from producers.labels.delays import LabelDelays
from producers.world.config import WorldConfig
from producers.world.world import World
from stream_features.catalogue.features import DAY, HASH
from stream_features.offline.bulk import bulk_features
from stream_features.offline.columns import codes

CAMOUFLAGES: Final = (0.0, 0.5, 1.0)
FAST_TEMPO: Final = 60.0
"""Of a further world, of middling camouflage: its attacks take seconds instead of minutes."""
WEEK: Final = FoldDays(train=7, gap=7, test=7)
"""The Handbook's."""
MONTH: Final = FoldDays(train=28, gap=7, test=7)
LONG_TEST: Final = FoldDays(train=28, gap=7, test=21)
"""Of the held-out period of our worlds: a week of them has too few frauds for an interval of ±.03."""
HANDBOOK_DELAYS: Final = LabelDelays(
    never=0, analyst=0, customer=0, chargeback_min_days=7, chargeback_max_days=7, false_disputes=0
)
"""Every fraud is known after seven days."""


@dataclass(frozen=True)
class WorldSize:
    """How large the generated worlds are."""

    cards: int = 4000
    days: int = 84
    fraud_scale: float = 2.0
    """More fraud than by default, so that a fold has enough to measure."""
    seeds: tuple[int, ...] = (7, 11)
    handbook_customers: int = 5000
    handbook_days: int = 77


@dataclass(frozen=True, eq=False)
class ValidationWorld:
    """A world with its features; arrays have one entry per transaction, shape (n,)."""

    name: str
    features: Floats
    """(n, SIZE)."""
    ts: Ints
    card: Ints
    amount_cents: Ints
    knowledge: LabelKnowledge
    folds: tuple[FoldRows, ...]
    """For choosing; in order of time."""
    held_out: FoldRows
    """Tests on the last period, which no fold touches: for one look at what was chosen."""


@dataclass(frozen=True)
class WorldPlan:
    """A world that is yet to be generated or read."""

    name: str
    key: str
    """Names the content, for the file in which its features are kept."""
    days: FoldDays
    """Of each fold."""
    folds: int
    held_out: FoldDays
    """Of the last period, which no fold touches."""
    tables: Callable[[], tuple[pa.Table, pa.Table]]
    """Transactions in order of time, and labels."""


def own_worlds(size: WorldSize) -> Iterable[WorldPlan]:
    """Our world at each camouflage, and at middling camouflage with fast attacks; all by each seed."""
    for camouflage, tempo in [*((camouflage, 1.0) for camouflage in CAMOUFLAGES), (0.5, FAST_TEMPO)]:
        for seed in size.seeds:
            config = WorldConfig(
                cards=size.cards, seed=seed, fraud_scale=size.fraud_scale, camouflage=camouflage, tempo=tempo
            )
            world = World(config)
            fast = "" if tempo == 1 else f", tempo {tempo:g}"
            yield WorldPlan(
                name=f"world, camouflage {camouflage:g}{fast}, seed {seed}",
                key=f"{world.fingerprint}-{size.days}",
                days=MONTH,
                folds=2,
                held_out=LONG_TEST,
                tables=lambda world=world: _world_tables(world, size.days),  # type: ignore[misc]
            )


def handbook_like_world(size: WorldSize, seed: int = 1) -> WorldPlan:
    """Data after the Handbook's simulator, in its layout and read by its loader."""
    source = HandbookLike(customers=size.handbook_customers, terminals=2 * size.handbook_customers,
                          days=size.handbook_days, seed=seed)  # fmt: skip
    return WorldPlan(
        name="after the Handbook's simulator",
        key=_hash([asdict(source), "handbook-like"]),
        days=WEEK,
        folds=3,
        held_out=WEEK,
        tables=lambda: handbook_tables(source),
    )


def file_world(path: Path, days: FoldDays, folds: int = 2) -> WorldPlan:
    """A file of any known layout, with the labels of its loader; the Handbook's with its own delay.

    Raises:
        FraudsimError: the file is of no known layout, or bad.
    """
    dataset = read_dataset(path, _delays_of(path))
    return WorldPlan(
        name=f"{dataset.layout.title}: {path.name}",
        key=dataset.fingerprint[:16],
        days=days,
        folds=folds,
        held_out=days,
        tables=lambda: (dataset.tables.transactions, dataset.tables.labels),
    )


def history_world(directory: Path, days: FoldDays = MONTH, folds: int = 2) -> WorldPlan:
    """A history with its own labels, such as a world of another tempo.

    Raises:
        FraudsimError: it cannot be read.
    """
    history = read_history(directory)
    return WorldPlan(
        name=f"history {directory.name}",
        key=history.manifest.fingerprint[:16],
        days=days,
        folds=folds,
        held_out=days,
        tables=lambda: (history.transactions(), history.labels()),
    )


def prepare(plan: WorldPlan, folder: Path) -> ValidationWorld:
    """Generate or read a world and compute its features, or take them from `folder`.

    Raises:
        FraudsimError: it is too short for a fold and the period that is held out, or one of them lacks
            fraud; the message names the world.
    """
    try:
        return _prepare(plan, folder)
    except FraudsimError as error:
        raise FraudsimError(f"{plan.name}: {error}") from None


def _prepare(plan: WorldPlan, folder: Path) -> ValidationWorld:
    path = folder / f"{plan.key}-{HASH}.npz"
    if not path.is_file():
        _write_arrays(path, *plan.tables())
    with np.load(path, allow_pickle=False) as arrays:
        ts, card = arrays["ts"], arrays["card"]
        knowledge = LabelKnowledge(
            arrays["rows"], arrays["known_at"], arrays["ranks"], arrays["says_fraud"], len(ts)
        )
        start, end = int(ts[0]) // DAY * DAY, (int(ts[-1]) // DAY + 1) * DAY
        last = ValidationFold.of_test(end - plan.held_out.test * DAY, plan.held_out)
        folds = prequential_folds(start, last.test_from_ms, plan.days, plan.folds)
        return ValidationWorld(
            name=plan.name,
            features=arrays["features"],
            ts=ts,
            card=card,
            amount_cents=arrays["amount_cents"],
            knowledge=knowledge,
            folds=tuple(rows_of_fold(fold, ts, card, knowledge) for fold in folds),
            held_out=rows_of_fold(last, ts, card, knowledge),
        )


def _write_arrays(path: Path, transactions: pa.Table, labels: pa.Table) -> None:
    knowledge = LabelKnowledge.of(transactions, labels)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(suffix=".npz") as file:
        np.savez(
            file,
            features=np.asarray(bulk_features(transactions, labels), np.float32),
            ts=transactions["ts"].to_numpy(),
            card=codes(transactions, "card_id")[0],
            amount_cents=transactions["amount_cents"].to_numpy(),
            rows=knowledge.rows,
            known_at=knowledge.known_at,
            ranks=knowledge.ranks,
            says_fraud=knowledge.says_fraud,
        )
        write_whole(path, Path(file.name).read_bytes())


def _world_tables(world: World, days: int) -> tuple[pa.Table, pa.Table]:
    with tempfile.TemporaryDirectory() as folder:
        write_history(Path(folder), world, days)
        history = read_history(Path(folder))
        return history.transactions(), history.labels()


def handbook_tables(source: HandbookLike) -> tuple[pa.Table, pa.Table]:
    """Transactions in order of time, and labels, as the loader of the layout gives them."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "handbook-like.parquet"
        pq.write_table(source.table(), path)
        tables = read_dataset(path, HANDBOOK_DELAYS).tables
        return tables.transactions, tables.labels


def _delays_of(path: Path) -> LabelDelays | None:
    from producers.datasets import handbook
    from producers.datasets.registry import layout_of

    return HANDBOOK_DELAYS if layout_of(path) is handbook.LAYOUT else None


def _hash(content: object) -> str:
    return hashlib.sha256(msgspec.json.encode(content)).hexdigest()[:16]
