"""The stages of an experiment, and which gates apply in each. Pure."""

from typing import Final

import msgspec

from fraudsim.errors import FraudsimError


class Stage(msgspec.Struct, frozen=True, kw_only=True):
    """A share of the cards for B, for some days of event time."""

    name: str
    share: float
    """0: B is a shadow, and decides nothing; 1: B is the champion."""
    days: float
    tests_money: bool
    """Whether net loss decides, where the minimum detectable effect allows; guards count in each stage."""


STAGES: Final = (
    Stage(name="shadow", share=0.0, days=3.0, tests_money=False),
    Stage(name="1 %", share=0.01, days=7.0, tests_money=False),
    Stage(name="5 %", share=0.05, days=7.0, tests_money=False),
    Stage(name="25 %", share=0.25, days=28.0, tests_money=True),
)
"""Then B is promoted. At 1 and 5 % only guards are tested: no loss that matters could be found there."""
MATURITY_DAYS: Final = 7.0
"""Age at which a payment's net loss counts: labels that come later are not in it."""
WORTH: Final = 0.1
"""Money decides only where a difference of this share of A's net loss would be found."""


def stages_of(text: str) -> tuple[Stage, ...]:
    """Stages from words such as `shadow:3,1%:7,25%:28`: a share of the cards, and days of event time.

    >>> [(stage.share, stage.days) for stage in stages_of("shadow:1,5%:2.5")]
    [(0.0, 1.0), (0.05, 2.5)]

    Raises:
        FraudsimError: a stage cannot be read, or the shares do not grow.
    """
    stages: list[Stage] = []
    for word in text.split(","):
        name, _, days_text = word.strip().partition(":")
        try:
            share = 0.0 if name == "shadow" else float(name.removesuffix("%")) / 100
            days = float(days_text)
        except ValueError:
            raise FraudsimError(
                f"--stages {word.strip()!r} is no stage: write a share and days, as shadow:3 or 5%:7"
            ) from None
        if not (0 <= share < 1 and days > 0):
            raise FraudsimError(f"--stages {word.strip()!r}: a share is below 100 %, and days are above 0")
        if stages and share <= stages[-1].share:
            raise FraudsimError(f"--stages {word.strip()!r}: shares must grow, cards stay in B")
        title = "shadow" if share == 0 else f"{100 * share:g} %"
        stages.append(Stage(name=title, share=share, days=days, tests_money=share >= 0.25))
    return tuple(stages)
