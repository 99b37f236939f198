"""The contestants of `fraudsim bench features`: the program and the work of each."""

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from stream_features.catalogue.features import DAY, FEATURES, HOUR, MINUTE, WINDOWED

EXTRA: Final = "bench-features"
"""The .venv of the rivals that `make setup` leaves out."""
ROOT: Final = Path(__file__).parents[3]
HOP_MS: Final = 5 * MINUTE
SLIDING_MS: Final = (MINUTE, 5 * MINUTE, HOUR, DAY, 7 * DAY, 30 * DAY)
"""The windows of a card."""
AGGREGATES: Final = ("count", "sum", "mean", "max")


@dataclass(frozen=True)
class FeatureContestant:
    """One program, its share of the events, and what it computes."""

    name: str
    module: str
    does: str
    features: int
    """Number of window features that it computes, or keeps the state of."""
    share: float = 1.0
    """Share of the events, the first ones: less for a slow program."""
    extra: bool = False
    """Whether it runs in the .venv of the extra."""
    check: str = "records"
    """The function of `features.checks` that compares its work with brute force: `check_…`."""
    entities: tuple[str, ...] = ()
    """The entities that the worker folds; empty for a rival."""
    options: dict[str, Any] = field(default_factory=dict)


def _feature_count(*entities: str) -> int:
    return sum(feature.entity in entities for feature in FEATURES)


OURS: Final = FeatureContestant(
    "fraudsim",
    "fraudsim",
    "the feature worker as it is shipped, labels and the fenced writes of all four entities included",
    _feature_count(*WINDOWED),
    check="state",
    entities=WINDOWED,
)
CARDS: Final = FeatureContestant(
    "fraudsim, cards only",
    "load_tests.benches.features.cards_worker",
    "the same worker, folding cards only",
    _feature_count("card"),
    check="state",
    entities=("card",),
)
CONTESTANTS: Final = (
    OURS,
    CARDS,
    FeatureContestant(
        "aiokafka discard",
        "load_tests.rivals.aiokafka_discard",
        "reads records and drops them undecoded: the upper limit",
        0,
    ),
    FeatureContestant(
        "redis sorted sets",
        "load_tests.rivals.zset_consumer",
        "kafka-python; for each of the four entities ZADD, ZREMRANGEBYSCORE and PEXPIRE, one pipeline a "
        "poll; windows are left to the read",
        _feature_count(*WINDOWED) - sum(feature.aggregate == "fraud_rate" for feature in FEATURES),
        share=0.1,
        check="sorted_sets",
    ),
    FeatureContestant(
        "faust agent",
        "load_tests.rivals.faust_agent",
        "a stock agent that counts by card in a dict, kept nowhere",
        0,
        share=0.15,
        check="values",
    ),
    FeatureContestant(
        "faust tables",
        "load_tests.rivals.faust_tables",
        "a table in memory with its changelog: one count by card, 1 h hopping by 5 min",
        1,
        share=0.005,
        check="windows",
        options={"window_ms": HOUR, "hop_ms": HOP_MS},
    ),
    FeatureContestant(
        "quix-streams, one window",
        "load_tests.rivals.quix_windows",
        "one sliding window of 1 h by card, its count; RocksDB with changelog, as by default",
        1,
        share=0.1,
        extra=True,
        check="sliding",
        options={"windows_ms": (HOUR,), "aggregates": ("count",)},
    ),
    FeatureContestant(
        "quix-streams, card windows",
        "load_tests.rivals.quix_windows",
        "count, sum, mean and max of six sliding windows by card, 1 min to 30 d",
        len(SLIDING_MS) * len(AGGREGATES),
        share=0.02,
        extra=True,
        check="sliding",
        options={"windows_ms": SLIDING_MS, "aggregates": AGGREGATES},
    ),
    FeatureContestant(
        "bytewax",
        "load_tests.rivals.bytewax_windows",
        "one count by card, 1 h sliding by 5 min, emitted when a window closes; no recovery store",
        1,
        share=0.1,
        extra=True,
        check="windows",
        options={"window_ms": HOUR, "hop_ms": HOP_MS},
    ),
)


def python_of(contestant: FeatureContestant) -> Path:
    """The interpreter that runs a contestant: this one, or that of the extra."""
    if not contestant.extra:
        return Path(sys.executable)
    return ROOT / f".venv-{EXTRA}" / "bin" / "python"
