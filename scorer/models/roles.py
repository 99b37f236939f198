"""The roles of the served models at one moment: champion, challengers, shadows. Pure and immutable."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from fraudsim.log.events import Assignment
from model.artefact.model import Model
from model.registry.aliases import BUCKETS, bucket_of


@dataclass(frozen=True)
class ChallengerShare:
    """A challenger and its cards: those whose part is in `first ≤ part < end`."""

    model: Model
    first: int
    end: int

    @property
    def share(self) -> float:
        """Share of all cards."""
        return (self.end - self.first) / BUCKETS


@dataclass(frozen=True)
class Roles:
    """The models that decide one batch; a change of roles makes a new object, so a batch sees one state."""

    champion: Model
    challengers: tuple[ChallengerShare, ...] = ()
    salt: str = ""
    shadows: tuple[Model, ...] = ()

    def model_for(self, card_id: str) -> Model:
        """The challenger that the card is assigned to, else the champion."""
        if self.challengers:
            part = bucket_of(card_id, self.salt)
            for challenger in self.challengers:
                if challenger.first <= part < challenger.end:
                    return challenger.model
        return self.champion

    def assignment_of(self, card_id: str) -> Assignment | None:
        """Which model a card is assigned to, for the log; None where no challenger decides for any."""
        if not self.challengers:
            return None
        bucket, model = bucket_of(card_id, self.salt), self.model_for(card_id)
        part = next((item for item in self.challengers if item.model is model), self.challengers[0])
        return Assignment(
            salt=self.salt, bucket=bucket, first=part.first, end=part.end, model_version=model.version,
            arm=self.arm_of(model), share=self.share_of(model),
        )  # fmt: skip

    def arm_of(self, model: Model) -> str:
        """The name of a model's arm: a challenger's version, empty for the champion."""
        return "" if model is self.champion else model.version

    def share_of(self, model: Model) -> float:
        """The share of all cards that a model decides for."""
        if model is self.champion:
            challenged = sum(item.end - item.first for item in self.challengers)
            return (BUCKETS - challenged) / BUCKETS
        return next(item.share for item in self.challengers if item.model is model)

    def split(self, card_ids: Sequence[str]) -> dict[Model, list[int]]:
        """Indices into `card_ids` by the model that decides them."""
        if not self.challengers:
            return {self.champion: [*range(len(card_ids))]}
        indices: defaultdict[Model, list[int]] = defaultdict(list)
        for index, card_id in enumerate(card_ids):
            indices[self.model_for(card_id)].append(index)
        return indices

    def by_model(self) -> Iterator[tuple[Model, str]]:
        """Each model with the name of its role."""
        yield self.champion, "champion"
        yield from ((challenger.model, "challenger") for challenger in self.challengers)
        yield from ((model, "shadow") for model in self.shadows)
