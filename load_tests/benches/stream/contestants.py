"""Who scores in `fraudsim bench stream`: how each is started, and where its answers are."""

from dataclasses import dataclass
from typing import Final

from fraudsim.log.topics import DECISIONS
from load_tests.rivals.scoring_setup import SCORES


@dataclass(frozen=True)
class Contestant:
    """One process from Kafka to Kafka."""

    name: str
    argv: tuple[str, ...]
    """After the interpreter's path."""
    topic: str
    """Of its answers."""
    share: float
    """Of the transactions of a turn."""


OURS: Final = Contestant("fraudsim", ("-m", "fraudsim", "scorer"), DECISIONS, 1.0)
CONTESTANTS: Final = (
    OURS,
    Contestant("aiokafka+xgboost", ("-m", "load_tests.rivals.aiokafka_xgboost"), SCORES, 1.0),
    Contestant("faust+xgboost", ("-m", "load_tests.rivals.faust_xgboost"), SCORES, 0.1),
)
