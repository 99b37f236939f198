"""The policy as a folder: `policy.json`, and `rules/NAME.json` with `rules/NAME.examples.json` beside each.

Read as a whole, checked as a whole: a folder with anything wrong in it gives no policy.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from fraudsim.errors import FraudsimError
from fraudsim.log.events import MAX_AMOUNT_CENTS
from model.artefact.thresholds import Costs, Thresholds
from scorer.policy.policy import ActBy, ByExpectedCost, ByThresholds, Exploration, Limits, Policy, Variant
from scorer.policy.rule_checks import like
from scorer.policy.rule_examples import Example, try_examples
from scorer.policy.rules import RuleFile

FORMAT_VERSION: Final = 1
POLICY_FILE: Final = "policy.json"
SHIPPED: Final = Path(__file__).parent.parent / "policies" / "default"
_EXAMPLES: Final = ".examples.json"

Cents = Annotated[int, Meta(ge=0, le=MAX_AMOUNT_CENTS)]


class _Strict(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """No field is guessed at: a misspelt one is an error."""


class CutOffs(_Strict, frozen=True):
    """Scores from which on an action is due."""

    step_up: float
    review: float
    decline: float


class ExpectedCost(_Strict, frozen=True, tag="expected_cost"):
    """Act by expected cost; what `costs` leaves out is as `model.artefact.thresholds.Costs` has it."""

    costs: dict[str, float]


class FixedThresholds(_Strict, frozen=True, tag="thresholds"):
    """Act by cut-offs of the score; null is those that were chosen when the model was trained."""

    champion: CutOffs | None = None
    fallback: CutOffs | None = None


class LimitsWords(_Strict, frozen=True):
    """See `scorer.policy.policy.Limits`."""

    reviews_per_day: Annotated[int, Meta(ge=0)] | None
    decline_from_cents: Cents
    declined_share_of_day: Annotated[float, Meta(ge=0, le=1)] | None


class ExplorationWords(_Strict, frozen=True):
    """See `scorer.policy.policy.Exploration`; at most half of the declines."""

    share: Annotated[float, Meta(ge=0, le=0.5)]
    salt: str
    up_to_cents: Cents


class PolicyWords(_Strict, frozen=True):
    """`policy.json`."""

    format_version: int
    name: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.]{1,40}$")]
    act_by: ExpectedCost | FixedThresholds
    limits: LimitsWords
    exploration: ExplorationWords


def read_folder(folder: Path) -> dict[str, bytes]:
    """Every file of a policy by its name within the folder.

    Raises:
        FraudsimError: a file cannot be read.
    """
    paths = [folder / POLICY_FILE, *sorted((folder / "rules").glob("*.json"))]
    try:
        return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}
    except OSError as error:
        raise FraudsimError(f"policy {error.filename}: {error.strerror}") from None


def load_policy(folder: Path) -> Policy:
    """The policy of a folder. Raises as `read_folder` and `parse_policy` do."""
    return parse_policy(read_folder(folder), str(folder))


def parse_policy(files: Mapping[str, bytes], where: str) -> Policy:
    """The policy that these files are; every rule has passed its examples.

    Args:
        where: the folder, for messages.

    Raises:
        FraudsimError: one line that names the file, the field or rule, and what is wrong.
    """
    at = f"{where}/{POLICY_FILE}"
    words = _read(at, files[POLICY_FILE], PolicyWords)
    if words.format_version != FORMAT_VERSION:
        raise FraudsimError(
            f"policy {at}: format_version={words.format_version}, this program has {FORMAT_VERSION}"
        )
    decisions: dict[str, Any] = {}
    rules: list[RuleFile] = []
    taken: dict[str, str] = {}
    for name, raw in files.items():
        if name == POLICY_FILE or name.endswith(_EXAMPLES):
            continue
        beside = name.removesuffix(".json") + _EXAMPLES
        if beside not in files:
            raise FraudsimError(f"policy {where}/{name}: it has no examples; write them into {beside}")
        decisions[name] = _read(f"{where}/{name}", raw, dict[str, Any])
        one = RuleFile(name, f"{where}/{name}", decisions[name])
        try_examples(one, f"{where}/{beside}", _read(f"{where}/{beside}", files[beside], list[Example]))
        for rule in one.rule_names:
            if rule in taken:
                raise FraudsimError(
                    f"policy {where}/{name}: rule {rule!r} is in {taken[rule]} too; rename one"
                )
            taken[rule] = name
        rules.append(one)
    stray = sorted(
        n for n in files if n.endswith(_EXAMPLES) and f"{n.removesuffix(_EXAMPLES)}.json" not in files
    )
    if stray:
        raise FraudsimError(f"policy {where}/{stray[0]}: there is no rule file that these are examples of")
    limits, exploration = words.limits, words.exploration
    return Policy(
        version=_version(words, decisions),
        act_by=_act_by(at, words.act_by),
        limits=Limits(limits.reviews_per_day, limits.decline_from_cents, limits.declined_share_of_day),
        exploration=Exploration(exploration.share, exploration.salt, exploration.up_to_cents),
        rules=tuple(rules),
    )


def _read(where: str, raw: bytes, kind: Any) -> Any:
    try:
        return msgspec.json.decode(raw, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise FraudsimError(f"policy {where}: {error}") from None


def _version(words: PolicyWords, decisions: Mapping[str, Any]) -> str:
    """Name and 8 hex digits of all that decides; not of examples, white space or the order of fields."""
    content = json.dumps([msgspec.to_builtins(words), decisions], sort_keys=True)
    return f"{words.name}-{hashlib.sha256(content.encode()).hexdigest()[:8]}"


def _act_by(where: str, words: ExpectedCost | FixedThresholds) -> dict[Variant, ActBy]:
    try:
        if isinstance(words, ExpectedCost):
            known = list(vars(Costs()))
            for name in words.costs:
                if name not in known:
                    raise FraudsimError(f"costs: {name} is not known{like(name, known)}")
            by_cost = ByExpectedCost(Costs(**words.costs))
            return {"champion": by_cost, "fallback": by_cost}
        return {
            "champion": ByThresholds(_thresholds(words.champion)),
            "fallback": ByThresholds(_thresholds(words.fallback)),
        }
    except FraudsimError as error:
        raise FraudsimError(f"policy {where}: act_by.{error}") from None


def _thresholds(words: CutOffs | None) -> Thresholds | None:
    return None if words is None else Thresholds(words.step_up, words.review, words.decline)
