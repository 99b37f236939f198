"""A world for studies of models: a history with features, labels and split, of one of two layouts.

Ours is a generated history; the other is data after the Fraud Detection Handbook's simulator, in its layout
and read by its loader, whose frauds are known after seven days.
"""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
import pyarrow as pa

from fraudsim.arrays import Flags, Floats, Ints
from fraudsim.errors import FraudsimError
from fraudsim.settings import Settings
from model.training.dataset import TrainingDataset, build_dataset
from model.training.split import split_history
from model.tuning.handbook_like import HandbookLike
from model.tuning.worlds import handbook_tables
from producers.history.reader import History, read_history
from producers.history.writer import write_history
from producers.world.settings import world_config
from producers.world.world import World
from stream_features.catalogue.features import DAY
from stream_features.offline.bulk import bulk_features
from studies.frame.cell_plan import Size

OURS: Final = "our world"
HANDBOOK: Final = "after the Handbook's"


@dataclass(frozen=True)
class ModelWorldSpec:
    """How large the worlds of a study are."""

    cards: int
    days: int
    fraud_scale: float
    """More fraud than by default, so that a test has enough to measure."""
    customers: int
    """Of the Handbook's layout."""
    customer_days: int

    def layouts(self) -> dict[str, object]:
        """By name, the data of each layout."""
        return {
            OURS: {"cards": self.cards, "days": self.days, "fraud_scale": self.fraud_scale},
            HANDBOOK: {"customers": self.customers, "days": self.customer_days},
        }

    def text(self) -> str:
        """In words."""
        return (
            f"Ours has {self.cards:,} cards, {self.days} days, {self.fraud_scale:g} times the usual fraud; "
            f"that after the Handbook's simulator {self.customers:,} customers and {self.customer_days} days."
        )


@dataclass(frozen=True, eq=False)
class ModelWorld:
    """One world; arrays have one entry per transaction, shape (n,)."""

    transactions: pa.Table
    dataset: TrainingDataset
    features: Floats
    """(n, SIZE)."""
    typology: Ints
    """Index among the names; -1 where honest, or where the layout names none."""
    typologies: list[str]

    @property
    def before(self) -> Flags:
        """The train period without its end, where calibrators and cut-offs are chosen."""
        return self.dataset.train & ~self.dataset.calibration

    @property
    def test_fraud(self) -> Flags:
        """As known in the end; of the test rows."""
        return self.dataset.eventual_fraud[self.dataset.test]


class ModelTest(msgspec.Struct, frozen=True, kw_only=True):
    """What the figures of every cell have: how large its test was."""

    test_rows: int
    test_frauds: int


SPECS: Final[dict[Size, ModelWorldSpec]] = {
    "quick": ModelWorldSpec(1_000, 60, 4.0, 1_000, 49),
    "full": ModelWorldSpec(3_000, 75, 2.0, 3_000, 63),
}
SEEDS: Final[dict[Size, int]] = {"quick": 2, "full": 3}
_latest: dict[tuple[ModelWorldSpec, str, int, str], ModelWorld] = {}


def model_world(spec: ModelWorldSpec, layout: str, seed: int, settings: Settings) -> ModelWorld:
    """The world of a seed. The last one is kept: the cells of a seed and layout are run in a row.

    Raises:
        FraudsimError: its test period has no fraud, or its train period too little.
    """
    key = (spec, layout, seed, settings.model_dump_json())
    if key not in _latest:
        _latest.clear()
        _latest[key] = _make(spec, layout, seed, settings)
    return _latest[key]


def _make(spec: ModelWorldSpec, layout: str, seed: int, settings: Settings) -> ModelWorld:
    if layout == OURS:
        parameters = {**settings.world, "fraud_scale": spec.fraud_scale}
        config = world_config(settings.model_copy(update={"world": parameters}), spec.cards, seed)
        with tempfile.TemporaryDirectory() as folder:
            write_history(Path(folder), World(config), spec.days)
            history = read_history(Path(folder))
            transactions, labels = history.transactions(), history.labels()
            typology, typologies = _typology_codes(history, transactions)
    else:
        source = HandbookLike(spec.customers, 2 * spec.customers, spec.customer_days, seed=seed)
        transactions, labels = handbook_tables(source)
        typology, typologies = np.full(transactions.num_rows, -1), []
    ts = transactions["ts"].to_numpy()
    start_ms, end_ms = int(ts[0]) // DAY * DAY, (int(ts[-1]) // DAY + 1) * DAY
    dataset = build_dataset(transactions, labels, split_history(start_ms, end_ms, settings.label_gap_days))
    if not dataset.eventual_fraud[dataset.test].any():
        raise FraudsimError(
            f"study: {layout}, seed {seed}: no fraud in the test period; take more cards or days"
        )
    features = np.asarray(bulk_features(transactions, labels), np.float32)
    return ModelWorld(transactions, dataset, features, typology, typologies)


def _typology_codes(history: History, transactions: pa.Table) -> tuple[Ints, list[str]]:
    """By transaction, the index of its typology among the returned names; -1 where it is honest."""
    truth = history.truth()
    if not truth["tx_id"].equals(transactions["tx_id"]):
        raise ValueError("truth is not in the order of its transactions")
    encoded = truth["typology"].cast(pa.string()).combine_chunks().dictionary_encode()
    codes = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    return np.where(truth["is_fraud"].to_numpy(), codes, -1), encoded.dictionary.to_pylist()
