"""What the study runs: designs of an experiment, causes that are taken away, sizes."""

from dataclasses import dataclass
from typing import Final

from studies.frame.study_world import WorldSpec

ALL_A: Final = "all A"
ALL_B: Final = "all B"
REPLAY: Final = "replay"
"""B asked about what A decided, and nothing else runs again: an offline gain, with the truth known."""
DESIGNS: Final = ("by card", "by region", "by day")
MIRROR: Final = ", mirrored"
"""The same design with the arms exchanged: the mean of both compares each card with itself."""
EVERYTHING: Final = "as it is"
ONE_DESK_WORLD: Final = "with one desk for both arms"
CAUSES: Final = ("displacement", "merchant risk", "analysts")
ONE_DESK: Final = "one desk"
"""Both arms wait for the same analysts, as they would if these were not divided by arm."""
CONDITIONS: Final = {
    EVERYTHING: (),
    "without displacement": ("displacement",),
    "without merchant risk": ("merchant risk",),
    "with analysts enough": ("analysts",),
    ONE_DESK_WORLD: (ONE_DESK,),
    "with none of them": CAUSES,
}
"""By name, what is changed: causes that are taken away, or the division of the analysts between the arms."""


@dataclass(frozen=True)
class InterferencePlan:
    """Sizes of the study."""

    worlds: WorldSpec
    seeds: int
    most_seeds: int
    alert_shares: tuple[float, float] = (0.01, 0.04)
    """Of the payments that A and B may flag: B is the stricter one."""
    review_minutes: float = 120.0
    """One analyst with long cases, so that both arms wait for the same one."""

    @property
    def arms(self) -> dict[str, str]:
        """By name."""
        names = [ALL_A, ALL_B, REPLAY]
        for design in DESIGNS:
            names += [design, design + MIRROR]
        return {name: name for name in names}

    @property
    def left_out(self) -> frozenset[tuple[str, str]]:
        """Other designs than by card, and the replay, are run as things are."""
        return frozenset(
            (name, condition)
            for condition in CONDITIONS
            if condition != EVERYTHING
            for name in self.arms
            if name == REPLAY or name.startswith(DESIGNS[1:])
        )


_FRAUD: Final = (("fraud_scale", 4.0),)
QUICK: Final = InterferencePlan(WorldSpec(500, 30, 14, _FRAUD), seeds=4, most_seeds=4)
FULL: Final = InterferencePlan(WorldSpec(2_000, 45, 42, _FRAUD), seeds=10, most_seeds=20)
