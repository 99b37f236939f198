"""A whole study: its cells, what its result is, and how that reads."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import msgspec

from model.artefact.manifest import Versions
from studies.frame.cell_plan import CellPlan, F, Runs, Size
from studies.frame.page import StudyReport


class Provenance(msgspec.Struct, frozen=True, kw_only=True):
    """Where a result comes from."""

    study: str
    size: str
    code: str
    """Fingerprint of the code that the figures depend on."""
    versions: Versions
    cpu_s: float | None = None
    """Seconds of CPU that its cells took where they were run, without lines that they started."""

    @property
    def time_text(self) -> str:
        """The CPU time in words; empty if nobody measured it."""
        return "" if self.cpu_s is None else f", {self.cpu_s / 60:.0f} CPU minutes"


class StudyResult(msgspec.Struct, frozen=True, kw_only=True):
    """`result.json`; a study adds its own."""

    provenance: Provenance
    seeds: list[int]


R = TypeVar("R", bound=StudyResult)


@dataclass(frozen=True)
class StudyDefinition(Generic[F, R]):
    """A study of one size."""

    size: Size
    plan: CellPlan[F]
    narrow_enough: Callable[[Runs[F], Sequence[int]], bool]
    """Whether the intervals over these seeds are narrow enough to stop."""
    result: type[R]
    result_of: Callable[[Runs[F], Sequence[int], Provenance], R]
    report_of: Callable[[R], StudyReport]
