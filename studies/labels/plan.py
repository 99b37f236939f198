"""What the study of labels runs: what a model is told of its past. Pure data."""

from dataclasses import dataclass, replace
from typing import Final, Literal

from studies.comparison.figures import RANKING, Contrast
from studies.frame.study_world import WorldSpec


@dataclass(frozen=True)
class LabelView:
    """What of the labels a model learns from: those known by its end, but for these changes."""

    truth: bool = False
    """Whether every fraud is known at once, as no bank can."""
    later_days: float = 0.0
    """How much later than in the world every label is known."""
    lost: float = 0.0
    """Share of the known frauds whose labels never come: they pass for honest."""
    false: float = 0.0
    """Honest payments that are labelled fraud, as a share of the known frauds."""


@dataclass(frozen=True)
class PastPolicy:
    """By what policy the second half of the history was decided."""

    only_declines: bool = False
    """Whether it never asks the customer or an analyst: then nothing is learnt of what it stops."""
    explored: float = 0.0
    """Share of its declines that are let through."""


@dataclass(frozen=True)
class LabelArm:
    """What a model learns from: a past that was decided or not, and what of its labels."""

    view: LabelView = LabelView()
    past: PastPolicy | None = None
    """None: nobody stopped anything."""
    unlabelled: Literal["honest", "left out"] = "honest"
    """What stopped payments pass for of which nobody said whether they were fraud."""
    weighted: bool = False
    """Whether payments let through for exploration stand for those that were not."""
    gap_days: float = 7.0
    """Age of the youngest payments that are learnt from."""
    fit_seed: int = 1


BASE: Final = "all labels"
NULL: Final = "all labels, another fit"
TRUTH: Final = "every fraud known"
LATER_DAYS: Final = 14.0
SHARE: Final = 0.3
EXPLORED: Final = 0.1
LATER: Final = f"{LATER_DAYS:g} days later"
IMPATIENT: Final = "no waiting"
LOST: Final = f"{SHARE:.0%} lost"
FALSE: Final = f"{SHARE:.0%} false"
SHIPPED_PAST: Final = "stopped, shipped policy"
AS_HONEST: Final = "declined, taken for honest"
LEFT_OUT: Final = "declined, left out"
UNWEIGHTED: Final = f"explored {EXPLORED:.0%}, unweighted"
WEIGHTED: Final = f"explored {EXPLORED:.0%}, weighted"
PAST_LOSS: Final = "past loss"
_DECLINES: Final = PastPolicy(only_declines=True)
_EXPLORES: Final = PastPolicy(only_declines=True, explored=EXPLORED)


@dataclass(frozen=True)
class LabelsPlan:
    """Sizes of the study. The first half of the history trains the model that decides the second."""

    spec: WorldSpec
    seeds: int
    most_seeds: int

    def arms(self) -> dict[str, LabelArm]:
        """Every arm by name."""
        return {
            BASE: LabelArm(),
            NULL: LabelArm(fit_seed=2),
            TRUTH: LabelArm(LabelView(truth=True)),
            IMPATIENT: LabelArm(gap_days=1.0),
            LATER: LabelArm(LabelView(later_days=LATER_DAYS), gap_days=7.0 + LATER_DAYS),
            LOST: LabelArm(LabelView(lost=SHARE)),
            FALSE: LabelArm(LabelView(false=SHARE)),
            SHIPPED_PAST: LabelArm(past=PastPolicy()),
            AS_HONEST: LabelArm(past=_DECLINES),
            LEFT_OUT: LabelArm(past=_DECLINES, unlabelled="left out"),
            UNWEIGHTED: LabelArm(past=_EXPLORES, unlabelled="left out"),
            WEIGHTED: LabelArm(past=_EXPLORES, unlabelled="left out", weighted=True),
        }

    def contrasts(self) -> list[Contrast]:
        """What each lack of labels costs, what exploration gains, and what it cost before."""
        return [
            *self._by_loss(),
            Contrast("price of exploring, while it lasts", WEIGHTED, LEFT_OUT, measure=PAST_LOSS),
            *(replace(one, name=f"{one.name}, ranking", measure=RANKING) for one in self._by_loss()),
        ]

    def _by_loss(self) -> list[Contrast]:
        return [
            Contrast("every fraud known at once", TRUTH, BASE),
            Contrast("trained up to yesterday", IMPATIENT, BASE),
            Contrast(f"labels {LATER}", LATER, BASE),
            Contrast(f"{SHARE:.0%} of the frauds never labelled", LOST, BASE),
            Contrast(f"{SHARE:.0%} more labels, all false", FALSE, BASE),
            Contrast("stopped by the shipped policy", SHIPPED_PAST, BASE),
            Contrast("declined, taken for honest", AS_HONEST, BASE),
            Contrast("declined, left out", LEFT_OUT, BASE),
            Contrast("exploring, unweighted", UNWEIGHTED, LEFT_OUT),
            Contrast("exploring, weighted", WEIGHTED, LEFT_OUT),
        ]


_WORLD: Final = (("fraud_scale", 4.0),)
QUICK: Final = LabelsPlan(WorldSpec(1500, 60, 14, _WORLD), seeds=4, most_seeds=4)
FULL: Final = LabelsPlan(WorldSpec(2000, 60, 28, _WORLD), seeds=8, most_seeds=14)
