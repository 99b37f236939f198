"""What the study runs: models, worlds, stages, sizes."""

from dataclasses import dataclass
from typing import Final

from studies.bad_models.tampering import BAD_MODELS

GOOD: Final = "a good model, another seed"
MODELS: Final = (GOOD, *BAD_MODELS)


@dataclass(frozen=True)
class BadModelsPlan:
    """Sizes of the study."""

    cards: int
    history_days: int
    """All models are trained on these."""
    stages: str
    """Each model is tried for as long as they take."""
    seeds: int


QUICK: Final = BadModelsPlan(cards=600, history_days=45, stages="shadow:3,1%:4,5%:7,25%:7", seeds=2)
FULL: Final = BadModelsPlan(cards=1_000, history_days=45, stages="shadow:3,1%:4,5%:7,25%:21", seeds=4)
EXTRA_FRAUD: Final = 4.0
"""Times the usual fraud, so that few cards have enough of it."""
