"""Decisions and labels in the order of event time become weeks, with what is known of them by then.

Labels come late, so a week is judged by the labels of weeks that are old enough: fraud known within 7 days of
a payment by the week before, calibration by the one before that, at 14 days. Both compare equal ages, so no
estimate of label maturity enters. What stepped-up customers deny and analysts find is known within hours.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dashboards.drift.week import Column, MatureWeek, Rate, WeekRows
from fraudsim.arrays import Doubles, Flags, Floats, Ints
from fraudsim.log.events import ACTIONS, Label
from model.artefact.costs import Costs, Stakes, decision_costs
from stream_features.catalogue.features import DAY, NAMES

WEEK_MS: Final = 7 * DAY
DRIFT_OF: Final = (
    "amount", "channel", "mcc", "card_count_1h", "card_count_24h", "card_sum_24h", "card_since_last",
    "card_ratio_30d", "device_cards_24h", "merchant_count_1h", "merchant_fraud_7d", "ip_cards_24h",
)  # fmt: skip
"""Features whose drift is watched, beside the score: some of each entity."""
LEFT_OUT: Final = ("merchant_fraud_7d",)
"""Not judged by weeks: it follows the labels of single campaigns, so weeks differ as they come and go."""
VOLUMES: Final = ("card_count", "card_sum", "card_since_last", "merchant_count")
"""How the names of features begin that tell how much is going on."""
CATEGORIES: Final = ("channel", "mcc")
CALIBRATION_MS: Final = 2 * WEEK_MS
WEEKS_BEFORE: Final = 2
"""Weeks whose labels a week is judged by; so the first two are only for the others."""
FEWEST_OF_A_KIND: Final = 100
"""Payments in a category of merchants, in the first week, for its amounts to be a signal."""
CELLS_OF_A_KIND: Final = 20
WATCHED: Final = tuple(name for name in DRIFT_OF if name not in LEFT_OUT)
"""The features that weeks are compared in."""
_COLUMNS: Final = [NAMES.index(name) for name in WATCHED]
_STEP_UP, _REVIEW = ACTIONS.index("step_up"), ACTIONS.index("review")


@dataclass(frozen=True, eq=False)
class DecidedRows:
    """Decisions in the order of event time; arrays of shape (n,)."""

    ts: Ints
    cards: Ints
    """Hashes of the cards."""
    tx_ids: pa.Array
    features: Floats
    """Those of `WATCHED`, shape (n, len(WATCHED))."""
    scores: Floats
    probabilities: Doubles
    actions: Ints
    """Index in `ACTIONS`."""
    amount_cents: Ints
    can_hold: Flags
    """Whether a review can hold the payment: the card is not present."""

    def between(self, from_ms: int, until_ms: int) -> "DecidedRows":
        """The rows of `[from_ms, until_ms)`."""
        part = slice(*np.searchsorted(self.ts, (from_ms, until_ms)).tolist())
        return DecidedRows(*(getattr(self, field.name)[part] for field in fields(self)))


def watched(vectors: Floats) -> Floats:
    """The features that are watched, of whole vectors of shape (n, features)."""
    columns: Floats = vectors[:, _COLUMNS]
    return columns


class DecidedWeeks:
    """Collects decisions and labels, and gives each week that is complete."""

    def __init__(self, start_ms: int) -> None:
        """`start_ms`: where the first week begins."""
        self._start_ms = start_ms
        self._parts: list[DecidedRows] = []
        self._past: deque[DecidedRows] = deque(maxlen=WEEKS_BEFORE + 1)
        self._labels: list[Label] = []
        self._kinds: list[float] | None = None

    def add(self, rows: DecidedRows, labels: Sequence[Label], until_ms: int) -> Iterator[WeekRows]:
        """Take in all decisions before `until_ms`, and all labels known by then; the weeks that are complete.

        A week without any decision is left out, as are the first `WEEKS_BEFORE`.
        """
        self._parts.append(rows)
        self._labels += labels
        while self._start_ms + WEEK_MS <= until_ms:
            end_ms = self._start_ms + WEEK_MS
            parts = [part.between(self._start_ms, end_ms) for part in self._parts]
            self._parts = [part for part in self._parts if len(part.ts) and part.ts[-1] >= end_ms]
            week = _joined([part for part in parts if len(part.ts)])
            if week is not None:
                self._past.append(week)
                if len(self._past) == WEEKS_BEFORE + 1:
                    yield self._week(week, end_ms)
            self._labels = [x for x in self._labels if x.ts >= end_ms - 4 * WEEK_MS]
            self._start_ms = end_ms

    def _week(self, rows: DecidedRows, end_ms: int) -> WeekRows:
        columns = {"score": Column(rows.scores.astype(np.float64))}
        features = dict(zip(WATCHED, rows.features.T.astype(np.float64), strict=True))
        columns |= {
            name: Column(values, volume=name.startswith(VOLUMES)) for name, values in features.items()
        }
        kind = features["mcc"]
        if self._kinds is None:
            values, counts = np.unique(kind[~np.isnan(kind)], return_counts=True)
            self._kinds = values[counts >= FEWEST_OF_A_KIND].tolist()
        for code in self._kinds:
            columns[f"amount in mcc {code:.0f}"] = Column(
                features["amount"], kind == code, CELLS_OF_A_KIND, only_area=True
            )
        categories = {name: features[name] for name in CATEGORIES}
        return WeekRows(
            int(rows.ts.min()), rows.cards, columns, categories, self._rates(end_ms), self._mature(end_ms)
        )

    def _rates(self, now_ms: int) -> dict[str, Rate]:
        """What labels known before `now_ms` say of the last weeks."""
        old, before, week = self._past
        stepped_up, reviewed = week.actions == _STEP_UP, week.actions == _REVIEW
        denied = self._says_fraud(week, now_ms, WEEK_MS, "customer") & stepped_up
        confirmed = self._says_fraud(week, now_ms, WEEK_MS, "analyst") & reviewed
        soon = self._says_fraud(before, now_ms, WEEK_MS)
        mature = self._says_fraud(old, now_ms, CALIBRATION_MS)
        return {
            "step-ups denied": _rate(week.cards, denied, stepped_up),
            "reviews confirmed": _rate(week.cards, confirmed, reviewed),
            "fraud known in 7 days": _rate(before.cards, soon, np.ones(len(soon))),
            "fraud over predicted": _rate(old.cards, mature, old.probabilities),
        }

    def _mature(self, now_ms: int) -> MatureWeek:
        """What the probabilities of the oldest week were worth, by labels known within 14 days."""
        old = self._past[0]
        fraud = self._says_fraud(old, now_ms, CALIBRATION_MS)
        stakes = Stakes(old.amount_cents, fraud, old.can_hold)
        cost_cents = float(decision_costs(old.probabilities, stakes, Costs()).sum())
        return MatureWeek(int(old.ts.min()), cost_cents, int(old.amount_cents[fraud].sum()))

    def _says_fraud(self, week: DecidedRows, now_ms: int, age_ms: int, source: str | None = None) -> Flags:
        """Whether a label known within an age of the payment says fraud."""
        labels = [
            label
            for label in self._labels
            if label.is_fraud
            and label.known_at < min(now_ms, label.ts + age_ms)
            and (source is None or label.source == source)
        ]
        rows = pc.index_in(pa.array([label.tx_id for label in labels], pa.string()), value_set=week.tx_ids)
        fraud = np.zeros(len(week.ts), np.bool_)
        fraud[[row for row in rows.to_pylist() if row is not None]] = True
        return fraud


def _rate(cards: Ints, numerator: Flags | Doubles, denominator: Flags | Doubles) -> Rate:
    return Rate(cards, np.asarray(numerator, np.float64), np.asarray(denominator, np.float64))


def _joined(parts: Sequence[DecidedRows]) -> DecidedRows | None:
    if not parts:
        return None
    return DecidedRows(
        *(
            pa.concat_arrays(columns) if field.name == "tx_ids" else np.concatenate(columns)
            for field in fields(DecidedRows)
            for columns in [[getattr(part, field.name) for part in parts]]
        )
    )
