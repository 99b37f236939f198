"""Examples beside a rule: an input and the hits it must have; a rule that fails one is not served. Pure."""

from collections.abc import Sequence

import msgspec

from fraudsim.errors import FraudsimError
from fraudsim.log.events import Action
from scorer.policy.rule_checks import TX_FIELDS, like
from scorer.policy.rule_guard import Value
from scorer.policy.rules import RuleError, RuleFile
from stream_features.catalogue.features import NAMES


class Example(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """An input, of which what is left out is null, and the hits that it must have."""

    about: str
    tx: dict[str, Value] = {}
    feature: dict[str, float | int | None] = {}
    score: float | None = None
    probability: float | None = None
    hits: dict[str, Action]
    """Action by rule."""


def try_examples(rules: RuleFile, where: str, examples: Sequence[Example]) -> None:
    """Raises FraudsimError where one has other hits, or a rule lacks one that hits or one that does not."""
    hit: set[str] = set()
    spared: set[str] = set()
    names = rules.rule_names.union(*(example.hits for example in examples))
    for example in examples:
        at = f"policy {where}: example {example.about!r}"
        values = _values(at, example)
        try:
            found = {each.name: each.action for each in rules.evaluate(values)}
        except RuleError as error:
            raise FraudsimError(f"{at}: {error}") from None
        if found != example.hits:
            raise FraudsimError(f"{at} hits {_said(found)}, expected {_said(example.hits)}")
        hit |= found.keys()
        spared |= names - found.keys()
    if not names:
        raise FraudsimError(f"policy {where}: no example hits anything; add one for each rule")
    for name in sorted(names - (hit & spared)):
        lacking = "does not hit" if name in hit else "hits"
        raise FraudsimError(f"policy {where}: there is no example in which rule {name!r} {lacking}; add one")


def _values(at: str, example: Example) -> dict[str, Value]:
    values: dict[str, Value] = {"score": example.score, "probability": example.probability}
    for kind, given, known in (("tx", example.tx, TX_FIELDS), ("feature", example.feature, NAMES)):
        for name, value in given.items():
            if name not in known:
                raise FraudsimError(f"{at}: {kind}.{name} is not known{like(name, known)}")
            values[f"{kind}.{name}"] = value
    return values


def _said(hits: dict[str, Action]) -> str:
    return ", ".join(f"{name} ({action})" for name, action in sorted(hits.items())) or "nothing"
