"""What the study of camouflage runs: worlds that differ in how well frauds hide, and models. Pure data."""

from dataclasses import dataclass, replace
from typing import Final

from studies.comparison.figures import RANKING, Contrast
from studies.frame.study_world import WorldSpec

TRAINED_AT: Final = 0.5
"""The camouflage of the world that the fixed model has learnt from."""
FIXED: Final = f"trained at {TRAINED_AT:g}"
NULL: Final = f"trained at {TRAINED_AT:g}, another fit"
MATCHED: Final = "trained there"


@dataclass(frozen=True)
class CamouflageArm:
    """Where a model has learnt."""

    matched: bool = False
    """Whether it was trained in the world that it serves."""
    fit_seed: int = 1


@dataclass(frozen=True)
class CamouflagePlan:
    """Sizes of the study."""

    dials: tuple[float, ...]
    spec: WorldSpec
    seeds: int
    most_seeds: int

    def arms(self) -> dict[str, CamouflageArm]:
        """Every arm by name."""
        return {FIXED: CamouflageArm(), NULL: CamouflageArm(fit_seed=2), MATCHED: CamouflageArm(matched=True)}

    def conditions(self) -> dict[str, float]:
        """The dial of each condition."""
        return {dial_name(dial): dial for dial in self.dials}

    def left_out(self) -> frozenset[tuple[str, str]]:
        """In the world of its training the fixed model is the matched one."""
        return frozenset({(MATCHED, dial_name(TRAINED_AT))})

    def contrasts(self) -> list[Contrast]:
        """What hiding costs, and what a model of that world repairs; in money and in ranking."""
        trained_dial = dial_name(TRAINED_AT)
        contrasts = []
        for dial in self.dials:
            if dial != TRAINED_AT:
                name = dial_name(dial)
                contrasts += [
                    Contrast(f"{name} instead of {TRAINED_AT:g}", FIXED, FIXED, name, trained_dial),
                    Contrast(f"{name}: training there", MATCHED, FIXED, name),
                ]
        ranking = [replace(one, name=f"{one.name}, ranking", measure=RANKING) for one in contrasts]
        return contrasts + ranking

    def spec_at(self, dial: float) -> WorldSpec:
        """The worlds of a dial."""
        return replace(self.spec, world=(*self.spec.world, ("camouflage", dial)))


def dial_name(dial: float) -> str:
    """The condition of a dial."""
    return f"camouflage {dial:g}"


_WORLD: Final = (("fraud_scale", 4.0),)
QUICK: Final = CamouflagePlan((0.0, 0.5, 1.0), WorldSpec(1500, 40, 14, _WORLD), seeds=4, most_seeds=4)
FULL: Final = CamouflagePlan(
    (0.0, 0.25, 0.5, 0.75, 1.0), WorldSpec(2000, 40, 28, _WORLD), seeds=8, most_seeds=14
)
