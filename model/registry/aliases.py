"""Who of a registry's models does what: champion, previous, challengers, shadows. Pure."""

import hashlib
from typing import Annotated, Final

import msgspec
from msgspec import Meta
from msgspec.structs import replace

from fraudsim.errors import FraudsimError

FORMAT_VERSION: Final = 1
CARDS: Final = 10_000
"""All cards, in parts: a challenger decides for whole parts of them."""

Version = Annotated[str, Meta(pattern=r"^[0-9a-f]{16}$")]


class Challenger(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A model that decides for some of the cards: those whose part is in `first ≤ part < end`."""

    version: Version
    first: Annotated[int, Meta(ge=0, lt=CARDS)]
    end: Annotated[int, Meta(gt=0, lt=CARDS)]
    """Less than all of them, so that the champion always has some."""

    @property
    def share(self) -> float:
        """Of the cards."""
        return (self.end - self.first) / CARDS


class Aliases(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`aliases.json`. A version is champion, challenger or shadow, and only one of them."""

    format_version: int = FORMAT_VERSION
    champion: Version
    """Decides, but for the challengers' cards."""
    previous: Version | None = None
    """The champion before; kept loaded for a rollback."""
    challengers: list[Challenger] = []
    shadows: list[Version] = []
    """Score what the champion decided, and decide nothing."""
    salt: str = ""
    """Another salt gives the challengers other cards."""

    def role_of(self, version: str) -> str | None:
        """What a version does; None where it does nothing."""
        if version == self.champion:
            return "champion"
        if any(version == each.version for each in self.challengers):
            return "challenger"
        if version in self.shadows:
            return "shadow"
        return "previous" if version == self.previous else None

    @property
    def versions(self) -> list[str]:
        """All that have a role, those that decide first; each once."""
        every = [self.champion, *(each.version for each in self.challengers)]
        every += [*([self.previous] if self.previous else []), *self.shadows]
        return list(dict.fromkeys(every))


def part_of(card_id: str, salt: str) -> int:
    """The part that a card belongs to, 0 to CARDS − 1, by a hash.

    Not by murmur2, which already says in what partition and slot a card is: a split must not follow those.
    """
    digest = hashlib.blake2b(f"{salt}:{card_id}".encode(), digest_size=8).digest()
    return int.from_bytes(digest) % CARDS


def check_aliases(aliases: Aliases, where: str) -> None:
    """Raise FraudsimError where the roles contradict each other."""
    if aliases.format_version != FORMAT_VERSION:
        raise FraudsimError(
            f"models {where}: format_version={aliases.format_version}, this program has {FORMAT_VERSION}"
        )
    taken = {aliases.champion: "champion"}
    roles = [("challengers", each.version) for each in aliases.challengers]
    for role, version in [*roles, *(("shadows", version) for version in aliases.shadows)]:
        if version in taken:
            raise FraudsimError(
                f"models {where}: {role} has {version}, which is in {taken[version]} already; "
                "a version has one role"
            )
        taken[version] = role
    before = 0
    for each in sorted(aliases.challengers, key=lambda challenger: challenger.first):
        if not before <= each.first < each.end:
            raise FraudsimError(
                f"models {where}: challenger {each.version} has first={each.first}, end={each.end}: "
                f"empty, or cards of another below {before}"
            )
        before = each.end


def promoted(aliases: Aliases, version: str) -> Aliases:
    """With another champion; the one until now becomes the previous one."""
    if version == aliases.champion:
        return aliases
    return replace(_without(aliases, version), champion=version, previous=aliases.champion)


def rolled_back(aliases: Aliases) -> Aliases:
    """With champion and previous exchanged; again is back again. Raises FraudsimError without a previous."""
    if aliases.previous is None:
        raise FraudsimError(
            f"champion={aliases.champion} has none before it to go back to; promote a version"
        )
    return promoted(aliases, aliases.previous)


def shadowed(aliases: Aliases, version: str) -> Aliases:
    """With one more shadow. Raises FraudsimError where the version decides."""
    _check_free(aliases, version, "shadow")
    return replace(aliases, shadows=[*(each for each in aliases.shadows if each != version), version])


def challenged(aliases: Aliases, version: str, share: float, salt: str | None = None) -> Aliases:
    """With a challenger for a share of the cards, in parts of 1/10,000.

    It keeps the cards that it has as long as there is room beside them, and so do the others always.

    Raises:
        FraudsimError: the version has another role, or so many cards in a row are not free.
    """
    _check_free(aliases, version, "challenger")
    parts = round(share * CARDS)
    if not 0 < parts < CARDS:
        raise FraudsimError(f"--share {share:g} is not between {1 / CARDS:g} and {1 - 1 / CARDS:g}")
    others = [each for each in aliases.challengers if each.version != version]
    if salt is not None and salt != aliases.salt and others:
        raise FraudsimError(
            f"--salt {salt!r} would give {others[0].version} other cards too; "
            "stop it first, or leave --salt out"
        )
    own = [each.first for each in aliases.challengers if each.version == version]
    for first in [*own, 0, *sorted(each.end for each in others)]:
        end = first + parts
        if end < CARDS and all(end <= each.first or first >= each.end for each in others):
            added = Challenger(version=version, first=first, end=end)
            kept = aliases.salt if salt is None else salt
            return replace(aliases, challengers=[*others, added], salt=kept)
    held = ", ".join(f"{each.version} {each.share:g}" for each in others)
    raise FraudsimError(
        f"--share {share:g}: so many cards in a row are not free ({held or 'none'}); stop one"
    )


def stopped(aliases: Aliases, version: str) -> Aliases:
    """Without a challenger or shadow. Raises FraudsimError where the version is neither."""
    role = aliases.role_of(version)
    if role not in ("challenger", "shadow"):
        raise FraudsimError(f"{version} is {role or 'nothing'}: only a challenger or a shadow can be stopped")
    return _without(aliases, version)


def _without(aliases: Aliases, version: str) -> Aliases:
    return replace(
        aliases,
        challengers=[each for each in aliases.challengers if each.version != version],
        shadows=[each for each in aliases.shadows if each != version],
    )


def _check_free(aliases: Aliases, version: str, wanted: str) -> None:
    role = aliases.role_of(version)
    if role not in (wanted, "previous", None):
        raise FraudsimError(
            f"{version} is {role}: " + ("promote another first" if role == "champion" else "stop it first")
        )
