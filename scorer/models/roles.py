"""The models of one moment: who decides for which card, who only looks on. Pure, and never changed."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from model.artefact.model import Model
from model.registry.aliases import BUCKETS, bucket_of


@dataclass(frozen=True)
class Arm:
    """A challenger, for the cards whose part is in `first ≤ part < end`."""

    model: Model
    first: int
    end: int

    @property
    def share(self) -> float:
        """Of the cards."""
        return (self.end - self.first) / BUCKETS


@dataclass(frozen=True)
class Lineup:
    """What a batch is decided by, from beginning to end."""

    champion: Model
    challengers: tuple[Arm, ...] = ()
    salt: str = ""
    shadows: tuple[Model, ...] = ()

    def decides_for(self, card_id: str) -> Model:
        """The challenger whose card it is, else the champion."""
        if self.challengers:
            part = bucket_of(card_id, self.salt)
            for arm in self.challengers:
                if arm.first <= part < arm.end:
                    return arm.model
        return self.champion

    def split(self, cards: Sequence[str]) -> dict[Model, list[int]]:
        """Places in `cards` by the model that decides there."""
        if not self.challengers:
            return {self.champion: [*range(len(cards))]}
        places: defaultdict[Model, list[int]] = defaultdict(list)
        for place, card_id in enumerate(cards):
            places[self.decides_for(card_id)].append(place)
        return places

    def roles(self) -> Iterator[tuple[Model, str]]:
        """Each model, and what it does."""
        yield self.champion, "champion"
        yield from ((arm.model, "challenger") for arm in self.challengers)
        yield from ((model, "shadow") for model in self.shadows)
