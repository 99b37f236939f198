"""The roles of a registry's models: champion, previous, challengers, shadows. Pure.

The functions that change roles return changed copies.
"""

import hashlib
from typing import Annotated, Final

import msgspec
from msgspec import Meta
from msgspec.structs import replace

from fraudsim.errors import FraudsimError
from fraudsim.log.patterns import whole_text

FORMAT_VERSION: Final = 1
BUCKETS: Final = 10_000
"""Number of buckets of cards; a challenger decides for whole buckets."""

Version = Annotated[str, whole_text("[0-9a-f]{16}")]


class Challenger(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A model that decides for the cards whose bucket is in `first ≤ bucket < end`."""

    version: Version
    first: Annotated[int, Meta(ge=0, lt=BUCKETS)]
    end: Annotated[int, Meta(gt=0, lt=BUCKETS)]
    """Less than `BUCKETS`, so the champion always has some cards."""

    @property
    def share(self) -> float:
        """Share of the cards."""
        return (self.end - self.first) / BUCKETS


class Aliases(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`aliases.json`. A version is at most one of champion, challenger and shadow."""

    format_version: int = FORMAT_VERSION
    champion: Version
    """Decides for all cards but the challengers'."""
    previous: Version | None = None
    """The champion before; kept loaded for a rollback."""
    challengers: list[Challenger] = []
    shadows: list[Version] = []
    """Score what the champion decided, and decide nothing."""
    salt: str = ""
    """Another salt gives the challengers other cards."""

    def role_of(self, version: str) -> str | None:
        """The role of a version; None if it has none."""
        if version == self.champion:
            return "champion"
        if any(version == challenger.version for challenger in self.challengers):
            return "challenger"
        if version in self.shadows:
            return "shadow"
        return "previous" if version == self.previous else None

    @property
    def versions(self) -> list[str]:
        """Every version with a role, once; those that decide come first."""
        versions = [self.champion, *(challenger.version for challenger in self.challengers)]
        versions += [*([self.previous] if self.previous else []), *self.shadows]
        return list(dict.fromkeys(versions))


def bucket_of(card_id: str, salt: str) -> int:
    """The bucket of a card, 0 to BUCKETS − 1, by a hash.

    Not by murmur2, which determines a card's partition and slot: buckets must be independent of those.
    """
    digest = hashlib.blake2b(f"{salt}:{card_id}".encode(), digest_size=8).digest()
    return int.from_bytes(digest) % BUCKETS


def check_aliases(aliases: Aliases, where: str) -> None:
    """Raise FraudsimError if the roles contradict each other. `where` is the file, for the message."""
    if aliases.format_version != FORMAT_VERSION:
        raise FraudsimError(
            f"models {where}: format_version={aliases.format_version}, this program has {FORMAT_VERSION}"
        )
    fields = {aliases.champion: "champion"}
    challengers = [("challengers", challenger.version) for challenger in aliases.challengers]
    for field, version in [*challengers, *(("shadows", version) for version in aliases.shadows)]:
        if version in fields:
            raise FraudsimError(
                f"models {where}: {field} has {version}, which is in {fields[version]} already; "
                "a version has one role"
            )
        fields[version] = field
    previous_end = 0
    for challenger in sorted(aliases.challengers, key=lambda challenger: challenger.first):
        if not previous_end <= challenger.first < challenger.end:
            raise FraudsimError(
                f"models {where}: challenger {challenger.version} has first={challenger.first}, "
                f"end={challenger.end}: empty, or cards of another below {previous_end}"
            )
        previous_end = challenger.end


def promote(aliases: Aliases, version: str) -> Aliases:
    """Make a version the champion; the champion until now becomes the previous one."""
    if version == aliases.champion:
        return aliases
    return replace(_without(aliases, version), champion=version, previous=aliases.champion)


def roll_back(aliases: Aliases) -> Aliases:
    """Exchange champion and previous. Raises FraudsimError if there is no previous champion."""
    if aliases.previous is None:
        raise FraudsimError(
            f"champion={aliases.champion} has none before it to go back to; promote a version"
        )
    return promote(aliases, aliases.previous)


def add_shadow(aliases: Aliases, version: str) -> Aliases:
    """Make a version a shadow. Raises FraudsimError if it is champion or challenger."""
    _check_free(aliases, version, "shadow")
    others = [shadow for shadow in aliases.shadows if shadow != version]
    return replace(aliases, shadows=[*others, version])


def add_challenger(aliases: Aliases, version: str, share: float, salt: str | None = None) -> Aliases:
    """Make a version the challenger for a share of the cards, in steps of 1/10,000.

    A challenger keeps its first bucket if the share fits there. The other challengers' cards never change.

    Raises:
        FraudsimError: the version has another role, or so many buckets in a row are not free.
    """
    _check_free(aliases, version, "challenger")
    count = round(share * BUCKETS)
    if not 0 < count < BUCKETS:
        raise FraudsimError(f"--share {share:g} is not between {1 / BUCKETS:g} and {1 - 1 / BUCKETS:g}")
    others = [challenger for challenger in aliases.challengers if challenger.version != version]
    if salt is not None and salt != aliases.salt and others:
        raise FraudsimError(
            f"--salt {salt!r} would give {others[0].version} other cards too; "
            "stop it first, or leave --salt out"
        )
    own_first = [challenger.first for challenger in aliases.challengers if challenger.version == version]
    for first in [*own_first, 0, *sorted(other.end for other in others)]:
        end = first + count
        if end < BUCKETS and all(end <= other.first or first >= other.end for other in others):
            challenger = Challenger(version=version, first=first, end=end)
            new_salt = aliases.salt if salt is None else salt
            return replace(aliases, challengers=[*others, challenger], salt=new_salt)
    shares = ", ".join(f"{other.version} {other.share:g}" for other in others)
    raise FraudsimError(
        f"--share {share:g}: so many cards in a row are not free ({shares or 'none'}); stop one"
    )


def remove(aliases: Aliases, version: str) -> Aliases:
    """Remove a challenger or shadow. Raises FraudsimError if the version is neither."""
    role = aliases.role_of(version)
    if role not in ("challenger", "shadow"):
        raise FraudsimError(f"{version} is {role or 'nothing'}: only a challenger or a shadow can be stopped")
    return _without(aliases, version)


def _without(aliases: Aliases, version: str) -> Aliases:
    return replace(
        aliases,
        challengers=[challenger for challenger in aliases.challengers if challenger.version != version],
        shadows=[shadow for shadow in aliases.shadows if shadow != version],
    )


def _check_free(aliases: Aliases, version: str, new_role: str) -> None:
    role = aliases.role_of(version)
    if role not in (new_role, "previous", None):
        raise FraudsimError(
            f"{version} is {role}: " + ("promote another first" if role == "champion" else "stop it first")
        )
