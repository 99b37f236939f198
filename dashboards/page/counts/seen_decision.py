"""Decisions as the page reads them, and how many there are of each kind. Pure."""

from collections import Counter
from collections.abc import Callable, Hashable, Iterable
from operator import attrgetter
from typing import Final, Literal, NamedTuple, TypeVar, get_args

import msgspec

from dashboards.outcomes import AwaitedDecision

K = TypeVar("K", bound=Hashable)
Flag = Literal["stale", "degraded", "uncertain"]
FLAGS: Final[tuple[Flag, ...]] = get_args(Flag)


class _Intended(msgspec.Struct, frozen=True, gc=False):
    intended: int = 0


class SeenDecision(AwaitedDecision, frozen=True, kw_only=True, gc=False):
    """The part of a `Decision` that the page counts and lists."""

    reasons: list[str] = msgspec.field(default_factory=list)
    model_version: str = ""
    policy_version: str = ""
    variant: str = ""
    via: str = "stream"
    stale: bool = False
    degraded: bool = False
    uncertain: bool = False
    staleness_ms: float = 0.0
    stamps: _Intended = _Intended()
    features: list[float | None] = msgspec.field(default_factory=list)


class _Kind(NamedTuple):
    action: str
    model_version: str
    variant: str
    stale: bool
    degraded: bool
    uncertain: bool


_kind: Final = attrgetter(*_Kind._fields)


class Kinds:
    """Counts of decisions that differ in action, arm or flags; there are few kinds of many decisions."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[object, ...]] = Counter()

    def add(self, decisions: Iterable[SeenDecision]) -> None:
        """Count decisions."""
        self._counts.update(map(_kind, decisions))

    @property
    def actions(self) -> Counter[str]:
        """Decisions by action."""
        return self._by(lambda kind: kind.action)

    @property
    def arms(self) -> Counter[tuple[str, str]]:
        """Decisions by model version and what it was chosen as."""
        return self._by(lambda kind: (kind.model_version, kind.variant))

    def flagged(self, flag: Flag) -> int:
        """Decisions with a flag."""
        return self._by(lambda kind: getattr(kind, flag))[True]

    def _by(self, part: Callable[[_Kind], K]) -> Counter[K]:
        counts: Counter[K] = Counter()
        for kind, count in self._counts.items():
            counts[part(_Kind._make(kind))] += count
        return counts
