"""The models that a scorer serves, by its metrics, and what they have decided by the log. Pure."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

Labels = tuple[tuple[str, str], ...]
Samples = Mapping[tuple[str, Labels], float]
ROLE: Final = "fraudsim_model_role"
SHADOW: Final = "fraudsim_shadow_decisions_total"
ROLES: Final = ("champion", "challenger", "shadow")


class ModelRole(msgspec.Struct, frozen=True):
    """A model with a role."""

    version: str
    role: str
    compared: int | None = None
    """Of a shadow: decisions of the champion that it has scored too."""
    differing: int | None = None
    """Those of which it wants another action."""


def model_roles(samples: Samples) -> list[ModelRole]:
    """The models with a role: the champion, challengers, shadows."""
    compared: Counter[str] = Counter()
    differing: Counter[str] = Counter()
    roles = set()
    for (name, pairs), value in samples.items():
        labels = dict(pairs)
        version = labels.get("version", "")
        if name == ROLE and value > 0:
            roles.add((version, labels.get("role", "")))
        elif name == SHADOW:
            compared[version] += round(value)
            differing[version] += round(value) if labels.get("champion") != labels.get("shadow") else 0
    models = [
        ModelRole(version, role, compared[version], differing[version])
        if role == "shadow"
        else ModelRole(version, role)
        for version, role in roles
    ]
    return sorted(models, key=lambda model: (_rank(model.role), model.version))


def _rank(role: str) -> int:
    return ROLES.index(role) if role in ROLES else len(ROLES)


class DecidingModel(msgspec.Struct, frozen=True):
    """What one model has decided as one variant."""

    version: str
    role: str
    """"" where it has none now, or nobody says which."""
    variant: str
    decisions: int
    compared: int | None = None
    differing: int | None = None


def model_rows(served: Sequence[ModelRole], arms: Mapping[tuple[str, str], int]) -> list[DecidingModel]:
    """The models with a role, then those that have decided and have none, the busiest first.

    Args:
        arms: decisions by version and variant.
    """
    by_version: dict[str, list[tuple[str, int]]] = {}
    for (version, variant), count in sorted(arms.items(), key=lambda arm: -arm[1]):
        by_version.setdefault(version, []).append((variant, count))
    rows = []
    for model in served:
        for variant, count in by_version.get(model.version, [("", 0)]):
            rows.append(
                DecidingModel(model.version, model.role, variant, count, model.compared, model.differing)
            )
    with_role = {model.version for model in served}
    return rows + [
        DecidingModel(version, "", variant, count)
        for version, variants in by_version.items()
        if version not in with_role
        for variant, count in variants
    ]
