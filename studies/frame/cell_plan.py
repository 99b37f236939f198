"""What a study runs, as data; and the name under which a cell's figures are kept."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, Generic, Literal, NamedTuple, TypeVar

import msgspec

from fraudsim.settings import Settings
from model.artefact.files import current_versions

F = TypeVar("F", bound=msgspec.Struct)
Size = Literal["quick", "full"]

ROOT: Final = Path(__file__).parents[2]
CODE: Final = (
    "fraudsim", "producers", "stream_features", "model", "scorer", "simulator",
    "studies/frame/study_world.py", "studies/frame/file_world.py", "studies/frame/line_figures.py",
)  # fmt: skip
"""Rooms and files that the figures of every study depend on."""
NO_FIGURES: Final = ("fraudsim/drawing", "producers/page")
"""What of them only draws."""


class StudyCell(NamedTuple):
    """One run: an arm under a condition in the world of a seed."""

    arm: str
    condition: str
    seed: int


Runs = Mapping[tuple[str, str, int], F]
"""Figures by arm, condition and seed."""


@dataclass(frozen=True)
class CellPlan(Generic[F]):
    """Every cell of a study. Cells of one condition and seed are run in a row, by one process."""

    study: str
    arms: Mapping[str, Any]
    """The data of each arm, as JSON can hold it; the cell's figures are kept for these data."""
    conditions: Mapping[str, Any]
    sizes: Any
    """Data of all cells: days, cards and so on; not the numbers of arms, conditions or seeds."""
    seeds: int
    """The first of them; more are added while intervals are wide."""
    most_seeds: int
    run: Callable[[StudyCell, Settings, Path], F]
    """Gives a cell's figures; the path is a folder for scratch files."""
    figures: type[F]
    modules: tuple[str, ...]
    """Paths of the study's own code on which figures depend, from the root: files or packages."""
    left_out: frozenset[tuple[str, str]] = frozenset()
    """Arms and conditions that are not run together."""
    first_seed: int = 1
    """Another one where the first worlds have been looked at while something was tuned."""

    def pairs(self) -> list[tuple[str, str]]:
        """Arm and condition of every cell of a seed."""
        return [
            (arm, condition)
            for condition in self.conditions
            for arm in self.arms
            if (arm, condition) not in self.left_out
        ]

    def groups(self, seeds: Sequence[int]) -> list[list[StudyCell]]:
        """The cells of each seed and condition; seed by seed, so that a stopped study has whole seeds."""
        return [
            [StudyCell(arm, name, seed) for arm, name in self.pairs() if name == condition]
            for seed in seeds
            for condition in self.conditions
        ]

    def file_name(self, cell: StudyCell, settings: Settings) -> str:
        """The name of its figures' file: another one with other code, settings, programs or data."""
        content = [
            code_fingerprint(self.modules), current_versions(), self.study, self.sizes, list(cell),
            self.arms[cell.arm], self.conditions[cell.condition], settings_of(settings),
        ]  # fmt: skip
        return hashlib.sha256(msgspec.json.encode(content, order="sorted")).hexdigest()[:24] + ".json"


def settings_of(settings: Settings) -> dict[str, object]:
    """The settings that figures depend on; of a policy its files."""
    policy = settings.policy
    files = sorted(policy.rglob("*.json")) if policy is not None and policy.is_dir() else []
    return {
        "world": settings.world, "label_delays": settings.label_delays, "consequences": settings.consequences,
        "policy": [str(policy), *(path.read_text() for path in files)],
        "label_gap_days": settings.label_gap_days,
    }  # fmt: skip


@lru_cache
def code_fingerprint(modules: tuple[str, ...]) -> str:
    """Hash of the code that figures depend on, 16 hex digits: `CODE` and a study's own modules."""
    digest = hashlib.sha256()
    for source in (*CODE, *modules):
        for file in sorted(files_of(ROOT / source)):
            digest.update(file.relative_to(ROOT).as_posix().encode())
            digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def files_of(source: Path) -> list[Path]:
    """The files of a file or folder that figures may depend on: code, and data beside it."""
    if source.is_file():
        return [source]
    skipped = [ROOT / name for name in NO_FIGURES]
    return [
        path
        for path in source.rglob("*")
        if path.suffix in (".py", ".json", ".lua")
        and not any(path.is_relative_to(other) for other in skipped)
    ]
