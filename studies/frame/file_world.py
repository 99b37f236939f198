"""The history of a public file as the world of a study: its last days are decided, the others are the past.

There is one such world, and no second one to pair it with. So the seeds of a study are shares of its cards:
every run decides all payments, with trees of the share's own, and only what the share's cards lost counts.
"""

import copy
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final

import msgspec
import numpy as np

from fraudsim.arrays import Flags, Floats
from fraudsim.errors import FraudsimError
from fraudsim.settings import Settings
from model.training.dataset import TrainingDataset
from producers.history.reader import read_history
from producers.ledger.account import Basis
from producers.ledger.entry import Entry
from producers.ledger.ledger import Ledger
from producers.rng import chance
from producers.world.settings import consequences
from simulator.line.decided import DecidedStretch
from simulator.line.line import SimulatedLine
from simulator.line.scoring import Scoring
from simulator.line.traffic import traffic_of
from simulator.regimes import Regime
from stream_features.catalogue.features import DAY
from stream_features.offline.columns import codes
from studies.frame.line_figures import LineFigures, run_line
from studies.frame.study_world import ALERT_SHARE, FittedArm, Note, StudyWorld, WorldSpec, study_world

SHARES: Final = 8
"""Of the cards of a file."""
DECIDED: Final = 0.25
"""Share of a file's days that are decided, where nobody says how many."""
_STREAM: Final = "study-share"


@dataclass(frozen=True)
class FileSpec:
    """Which file, and how much of it is decided."""

    history: str
    """Folder that `fraudsim world replay` wrote."""
    source: str
    """The file's layout."""
    fingerprint: str
    cards: int
    history_days: int
    """The days before those that are decided."""
    days: int
    shares: int = SHARES


def identity_of(spec: WorldSpec | FileSpec) -> dict[str, object]:
    """What the figures of a study's cells depend on: not the place of a file."""
    if isinstance(spec, WorldSpec):
        return asdict(spec)
    return {"fingerprint": spec.fingerprint, "days": spec.days, "shares": spec.shares}


def file_spec(history: Path, days: int | None = None) -> FileSpec:
    """The study of a file's history.

    Args:
        days: that are decided, the last ones; `DECIDED` of all if None.

    Raises:
        FraudsimError: there is no history, it is of a world, or has no more than `days`.
    """
    if not (history / "manifest.json").exists():
        raise FraudsimError(
            f"--history {history}: has no manifest.json; `fraudsim world replay FILE --out {history}` writes "
            "it"
        )
    manifest = read_history(history).manifest
    if manifest.source == "world":
        raise FraudsimError(
            f"--history {history}: is of a world, and a study makes its own; give one that `fraudsim world "
            "replay FILE` wrote, or leave --history out"
        )
    if manifest.cards < SHARES:
        raise FraudsimError(
            f"--history {history}: has {manifest.cards} cards, and a study takes {SHARES} shares of them; "
            "give a file with more"
        )
    decided = days or max(1, round(DECIDED * manifest.days))
    if decided >= manifest.days:
        raise FraudsimError(f"--days {decided}: history {history} has {manifest.days} days; give fewer")
    return FileSpec(
        history=str(history.resolve()), source=manifest.source, fingerprint=manifest.fingerprint,
        cards=manifest.cards, history_days=manifest.days - decided, days=decided,
    )  # fmt: skip


class ShareLedger(Ledger):
    """The ledger of some cards: what others pay is none of its."""

    cards: frozenset[str] = frozenset()

    def add(self, entry: Entry) -> None:
        """Take in an entry of its cards."""
        if entry.payment.card_id in self.cards:
            super().add(entry)


class _ShareLine(SimulatedLine):
    """Decides all payments; its ledger has those of some cards."""

    def keep_only(self, cards: frozenset[str], span_ms: int) -> None:
        """Begin a ledger of these cards."""
        self._state.ledger = ShareLedger("truth", Basis(len(cards), span_ms), cards=cards)


class FileWorld(StudyWorld):
    """A share of a file's cards; vectors are made once for all shares. See `StudyWorld`."""

    def __init__(self, spec: FileSpec, settings: Settings) -> None:
        """
        Raises:
            FraudsimError: the history is not there, or not the one of the spec.
        """
        history = read_history(Path(spec.history))
        if history.manifest.fingerprint != spec.fingerprint:
            raise FraudsimError(f"--history {spec.history}: has changed since the study began")
        self._spec = spec
        self._whole: FileWorld | None = None
        self._begin(1, settings, traffic_of(history, spec.days), history.manifest.start_ms)

    def of_share(self, number: int) -> "FileWorld":
        """The share of a number, from 1 on."""
        share = copy.copy(self)
        share.seed, share._whole = number, self
        return share

    @property
    def dataset(self) -> TrainingDataset:
        """As `StudyWorld.dataset`; the same for all shares."""
        return super().dataset if self._whole is None else self._whole.dataset

    def vectors(self, regime: Regime) -> Floats:
        """As `StudyWorld.vectors`; the same for all shares."""
        return super().vectors(regime) if self._whole is None else self._whole.vectors(regime)

    def _kept_vectors(self) -> dict[str, Floats]:
        """All: the next share needs them again."""
        return self._vectors

    def fit(self, regime: Regime, fit_seed: int = 1, alert_share: float = ALERT_SHARE) -> FittedArm | None:
        """As `StudyWorld.fit`, with trees of the share's own."""
        return super().fit(regime, 2 * (self.seed - 1) + fit_seed, alert_share)

    def cards(self) -> frozenset[str]:
        """The share's: every so many-th in the order of a hash."""
        tables = [self.traffic.past, *(stretch.transactions for stretch in self.traffic.stretches())]
        names = {str(name) for table in tables for name in codes(table, "card_id")[1]}
        ordered = sorted(names, key=lambda name: chance(0, _STREAM, name))
        return frozenset(ordered[self.seed - 1 :: self._spec.shares])

    def run(
        self, regime: Regime, scoring: Scoring | None, *, reacting: bool = True, note: Note | None = None
    ) -> LineFigures:
        """As `StudyWorld.run`, of the share's cards; to `note` no other payment is present."""
        cards = self.cards()
        line = _ShareLine(self.traffic, regime, scoring, consequences(self.settings), reacting=False)
        line.keep_only(cards, self.traffic.days * DAY)
        decisions = 0

        def count(decided: DecidedStretch) -> None:
            nonlocal decisions
            own = _rows_of(decided, cards)
            decisions += int(own.sum())
            if note is not None:
                note(replace(decided, present=own))

        figures = run_line(line, regime, count)
        return msgspec.structs.replace(figures, decisions=decisions)


def _rows_of(decided: DecidedStretch, cards: frozenset[str]) -> Flags:
    index, names = codes(decided.stretch.transactions, "card_id")
    return np.array([str(name) in cards for name in names], np.bool_)[index] & decided.present


_files: dict[tuple[FileSpec, str], FileWorld] = {}


def world_of(spec: WorldSpec | FileSpec, seed: int, settings: Settings, scratch: Path) -> StudyWorld:
    """The world of a seed, or the share of a file of that number. Raises as both do."""
    if isinstance(spec, WorldSpec):
        return study_world(spec, seed, settings, scratch)
    key = (spec, settings.model_dump_json())
    if key not in _files:
        _files.clear()
        _files[key] = FileWorld(spec, settings)
    return _files[key].of_share(seed)
