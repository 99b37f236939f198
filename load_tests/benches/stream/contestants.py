"""The contestants of `fraudsim bench stream`: how each is started, and the topic of its answers."""

from dataclasses import dataclass
from typing import Final

from fraudsim.log.topics import DECISIONS
from load_tests.rivals.scoring_setup import SCORES


@dataclass(frozen=True)
class StreamContestant:
    """One process from Kafka to Kafka."""

    name: str
    argv: tuple[str, ...]
    """Arguments after the interpreter's path."""
    topic: str
    """The topic of its answers."""
    share: float
    """Share of a turn's transactions that it gets."""


OURS: Final = StreamContestant("fraudsim", ("-m", "fraudsim", "scorer"), DECISIONS, 1.0)
CONTESTANTS: Final = (
    OURS,
    StreamContestant("aiokafka+xgboost", ("-m", "load_tests.rivals.aiokafka_xgboost"), SCORES, 1.0),
    StreamContestant("faust+xgboost", ("-m", "load_tests.rivals.faust_xgboost"), SCORES, 0.1),
)
