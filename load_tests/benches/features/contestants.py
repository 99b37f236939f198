"""Who takes part in `bench features`, and what each is asked to do."""

from dataclasses import dataclass, field
from typing import Any, Final

from stream_features.catalogue.features import DAY, FEATURES, HOUR, MINUTE, WINDOWED

EXTRA: Final = "bench-features"
"""The .venv of the rivals that `make setup` leaves out."""
HOP_MS: Final = 5 * MINUTE
SLIDING_MS: Final = (MINUTE, 5 * MINUTE, HOUR, DAY, 7 * DAY, 30 * DAY)
"""The windows of a card."""
AGGREGATES: Final = ("count", "sum", "mean", "max")


@dataclass(frozen=True)
class Contestant:
    """One program, its share of the events, and what it computes."""

    name: str
    module: str
    does: str
    features: int
    """Window features that it computes, or keeps the state of."""
    share: float = 1.0
    """Of the events: who is slow gets the first of them."""
    extra: bool = False
    """It runs in the .venv of the extra."""
    checked: str = "records"
    """How what it did is checked: a function of `feature_checks`."""
    entities: tuple[str, ...] = ()
    """Of the worker: what it folds."""
    options: dict[str, Any] = field(default_factory=dict)


def _folded(*entities: str) -> int:
    return sum(feature.entity in entities for feature in FEATURES)


OURS: Final = Contestant(
    "fraudsim",
    "fraudsim",
    "the feature worker as it is shipped, labels and the fenced writes of all four entities included",
    _folded(*WINDOWED),
    checked="state",
    entities=WINDOWED,
)
CARDS: Final = Contestant(
    "fraudsim, cards only",
    "load_tests.benches.features.cards_worker",
    "the same worker, told to gather cards only",
    _folded("card"),
    checked="state",
    entities=("card",),
)
CONTESTANTS: Final = (
    OURS,
    CARDS,
    Contestant(
        "aiokafka discard",
        "load_tests.rivals.aiokafka_discard",
        "reads records and drops them undecoded: the limit",
        0,
    ),
    Contestant(
        "redis sorted sets",
        "load_tests.rivals.zset_consumer",
        "kafka-python; for each of the four entities ZADD, ZREMRANGEBYSCORE and PEXPIRE, one pipeline a "
        "poll; windows are left to the read",
        _folded(*WINDOWED) - sum(feature.aggregate == "fraud_rate" for feature in FEATURES),
        share=0.1,
        checked="sorted_sets",
    ),
    Contestant(
        "faust agent",
        "load_tests.rivals.faust_agent",
        "a stock agent that counts by card in a dict, kept nowhere",
        0,
        share=0.15,
        checked="values",
    ),
    Contestant(
        "faust tables",
        "load_tests.rivals.faust_tables",
        "a table in memory with its changelog: one count by card, 1 h hopping by 5 min",
        1,
        share=0.005,
        checked="windows",
        options={"window_ms": HOUR, "hop_ms": HOP_MS},
    ),
    Contestant(
        "quix-streams, one window",
        "load_tests.rivals.quix_windows",
        "one sliding window of 1 h by card, its count; RocksDB with changelog, as by default",
        1,
        share=0.1,
        extra=True,
        checked="sliding",
        options={"windows_ms": (HOUR,), "aggregates": ("count",)},
    ),
    Contestant(
        "quix-streams, card windows",
        "load_tests.rivals.quix_windows",
        "count, sum, mean and max of six sliding windows by card, 1 min to 30 d",
        len(SLIDING_MS) * len(AGGREGATES),
        share=0.02,
        extra=True,
        checked="sliding",
        options={"windows_ms": SLIDING_MS, "aggregates": AGGREGATES},
    ),
    Contestant(
        "bytewax",
        "load_tests.rivals.bytewax_windows",
        "one count by card, 1 h sliding by 5 min, emitted when a window closes; no recovery store",
        1,
        share=0.1,
        extra=True,
        checked="windows",
        options={"window_ms": HOUR, "hop_ms": HOP_MS},
    ),
)
