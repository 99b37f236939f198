"""Examples of a rule file: inputs with their expected hits. A rule that fails one is not served. Pure."""

from collections.abc import Sequence

import msgspec

from fraudsim.errors import FraudsimError
from fraudsim.log.events import Action
from scorer.policy.rule_checks import TX_FIELDS, suggestion
from scorer.policy.rule_guard import Value
from scorer.policy.rules import RuleError, RuleFile
from stream_features.catalogue.features import NAMES


class Example(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """An input, whose missing fields are null, and its expected hits."""

    about: str
    tx: dict[str, Value] = {}
    feature: dict[str, float | int | None] = {}
    score: float | None = None
    probability: float | None = None
    hits: dict[str, Action]
    """Action by rule."""


def try_examples(rules: RuleFile, where: str, examples: Sequence[Example]) -> None:
    """Evaluate every example. `where` names the file in messages.

    Raises:
        FraudsimError: an example has other hits, or a rule lacks an example that hits or one that does not.
    """
    hit: set[str] = set()
    missed: set[str] = set()
    names = rules.rule_names.union(*(example.hits for example in examples))
    for example in examples:
        location = f"policy {where}: example {example.about!r}"
        values = _values(location, example)
        try:
            hits = {result.name: result.action for result in rules.evaluate(values)}
        except RuleError as error:
            raise FraudsimError(f"{location}: {error}") from None
        if hits != example.hits:
            raise FraudsimError(f"{location} hits {_format(hits)}, expected {_format(example.hits)}")
        hit |= hits.keys()
        missed |= names - hits.keys()
    if not names:
        raise FraudsimError(f"policy {where}: no example hits anything; add one for each rule")
    for name in sorted(names - (hit & missed)):
        lacking = "does not hit" if name in hit else "hits"
        raise FraudsimError(f"policy {where}: there is no example in which rule {name!r} {lacking}; add one")


def _values(location: str, example: Example) -> dict[str, Value]:
    values: dict[str, Value] = {"score": example.score, "probability": example.probability}
    for kind, fields, names in (("tx", example.tx, TX_FIELDS), ("feature", example.feature, NAMES)):
        for name, value in fields.items():
            if name not in names:
                raise FraudsimError(f"{location}: {kind}.{name} is not known{suggestion(name, names)}")
            values[f"{kind}.{name}"] = value
    return values


def _format(hits: dict[str, Action]) -> str:
    return ", ".join(f"{name} ({action})" for name, action in sorted(hits.items())) or "nothing"
