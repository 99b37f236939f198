"""The policy as a folder: `policy.json`, and `rules/NAME.json` with `rules/NAME.examples.json` beside each.

A folder is read and checked as a whole: any error in it means there is no policy.
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
from fraudsim.log.patterns import whole_text
from model.artefact.costs import Costs
from model.artefact.thresholds import Thresholds
from producers.labels.blocks import BLOCK_RULE
from scorer.policy.policy import ActBy, ByExpectedCost, ByThresholds, Exploration, Limits, Policy, Variant
from scorer.policy.rule_checks import suggestion
from scorer.policy.rule_examples import Example, try_examples
from scorer.policy.rules import RuleFile

FORMAT_VERSION: Final = 2
EARLIER_VERSION: Final = 1
"""Of policies that knew of no holds: their reviews cost the same at every channel."""
POLICY_FILE: Final = "policy.json"
SHIPPED: Final = Path(__file__).parent.parent / "policies" / "default"
EARLIER_COSTS: Final = {
    "review_cost_cents": 400.0,
    "review_misses": 0.08,
    "step_up_cost_cents": 10.0,
    "step_up_insult_share": 0.08,
    "step_up_misses": 0.25,
    "insult_cost_cents": 500.0,
    "insult_amount_share": 0.10,
    "review_insult_share": 0.0,
    "hold_cost_cents": 0.0,
}
"""What a policy of the earlier version means by the costs that it does not name."""
_EXAMPLES: Final = ".examples.json"

Cents = Annotated[int, Meta(ge=0, le=MAX_AMOUNT_CENTS)]


class _StrictStruct(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Unknown fields are errors, so that a misspelt one is noticed."""


class CutOffs(_StrictStruct, frozen=True):
    """Lowest score of each action."""

    step_up: float
    review: float
    decline: float


class ExpectedCost(_StrictStruct, frozen=True, tag="expected_cost"):
    """Act by expected cost; `costs` overrides defaults of `model.artefact.thresholds.Costs`."""

    costs: dict[str, float]


class FixedThresholds(_StrictStruct, frozen=True, tag="thresholds"):
    """Act by cut-offs of the score; null means those chosen in training."""

    champion: CutOffs | None = None
    fallback: CutOffs | None = None


class LimitsSpec(_StrictStruct, frozen=True, omit_defaults=True):
    """See `scorer.policy.policy.Limits`. A field with a default may be missing, as in earlier policies."""

    reviews_per_day: Annotated[int, Meta(ge=0)] | None
    decline_from_cents: Cents
    declined_share_of_day: Annotated[float, Meta(ge=0, le=1)] | None
    flag_from_probability: Annotated[float, Meta(ge=0, le=1)] = 0.0


class ExplorationSpec(_StrictStruct, frozen=True):
    """See `scorer.policy.policy.Exploration`; at most half of the declines."""

    share: Annotated[float, Meta(ge=0, le=0.5)]
    salt: str
    up_to_cents: Cents


class PolicySpec(_StrictStruct, frozen=True):
    """`policy.json`."""

    format_version: int
    name: Annotated[str, whole_text("[A-Za-z0-9_.]{1,40}")]
    act_by: ExpectedCost | FixedThresholds
    limits: LimitsSpec
    exploration: ExplorationSpec


def read_folder(folder: Path) -> dict[str, bytes]:
    """The files of a policy by their path within the folder.

    Raises:
        FraudsimError: a file cannot be read.
    """
    paths = [folder / POLICY_FILE, *sorted((folder / "rules").glob("*.json"))]
    try:
        return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}
    except OSError as error:
        raise FraudsimError(f"policy {error.filename}: {error.strerror}") from None


def load_policy(folder: Path) -> Policy:
    """The policy of a folder. Raises what `read_folder` and `parse_policy` raise."""
    return parse_policy(read_folder(folder), str(folder))


def parse_policy(files: Mapping[str, bytes], where: str) -> Policy:
    """Build a policy from its files; every rule must pass its examples.

    Args:
        where: the folder, for messages.

    Raises:
        FraudsimError: one line that names the file, the field or rule, and what is wrong.
    """
    policy_path = f"{where}/{POLICY_FILE}"
    spec = _read(policy_path, files[POLICY_FILE], PolicySpec)
    if spec.format_version not in (EARLIER_VERSION, FORMAT_VERSION):
        raise FraudsimError(
            f"policy {policy_path}: format_version={spec.format_version}, this program has {FORMAT_VERSION}"
        )
    rules, decisions = _parse_rules(files, where)
    limits, exploration = spec.limits, spec.exploration
    return Policy(
        version=_version(spec, decisions),
        act_by=_act_by(policy_path, spec),
        limits=Limits(
            limits.reviews_per_day,
            limits.decline_from_cents,
            limits.declined_share_of_day,
            limits.flag_from_probability,
        ),
        exploration=Exploration(exploration.share, exploration.salt, exploration.up_to_cents),
        rules=tuple(rules),
    )


def _parse_rules(files: Mapping[str, bytes], where: str) -> tuple[list[RuleFile], dict[str, Any]]:
    """The rule files, compiled and tried on their examples, and their decisions as JSON by file name."""
    decisions: dict[str, Any] = {}
    rules: list[RuleFile] = []
    file_by_rule: dict[str, str] = {}
    for name, raw in files.items():
        if name == POLICY_FILE or name.endswith(_EXAMPLES):
            continue
        examples = name.removesuffix(".json") + _EXAMPLES
        if examples not in files:
            raise FraudsimError(f"policy {where}/{name}: it has no examples; write them into {examples}")
        decisions[name] = _read(f"{where}/{name}", raw, dict[str, Any])
        rule_file = RuleFile(name, f"{where}/{name}", decisions[name])
        examples_path = f"{where}/{examples}"
        try_examples(rule_file, examples_path, _read(examples_path, files[examples], list[Example]))
        for rule in rule_file.rule_names:
            if rule == BLOCK_RULE:
                raise FraudsimError(
                    f"policy {where}/{name}: rule {rule!r} is the name of a block's decline; rename it"
                )
            if rule in file_by_rule:
                raise FraudsimError(
                    f"policy {where}/{name}: rule {rule!r} is in {file_by_rule[rule]} too; rename one"
                )
            file_by_rule[rule] = name
        rules.append(rule_file)
    stray = sorted(
        name
        for name in files
        if name.endswith(_EXAMPLES) and f"{name.removesuffix(_EXAMPLES)}.json" not in files
    )
    if stray:
        raise FraudsimError(f"policy {where}/{stray[0]}: there is no rule file that these are examples of")
    return rules, decisions


def _read(where: str, raw: bytes, kind: Any) -> Any:
    try:
        return msgspec.json.decode(raw, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise FraudsimError(f"policy {where}: {error}") from None


def _version(spec: PolicySpec, decisions: Mapping[str, Any]) -> str:
    """Name and 8 hex digits of a hash over all that decides, without examples, white space or field order."""
    content = json.dumps([msgspec.to_builtins(spec), decisions], sort_keys=True)
    return f"{spec.name}-{hashlib.sha256(content.encode()).hexdigest()[:8]}"


def _act_by(where: str, spec: PolicySpec) -> dict[Variant, ActBy]:
    act_by = spec.act_by
    try:
        if isinstance(act_by, ExpectedCost):
            cost_names = list(vars(Costs()))
            for name in act_by.costs:
                if name not in cost_names:
                    raise FraudsimError(f"costs: {name} is not known{suggestion(name, cost_names)}")
            by_cost = ByExpectedCost(_costs(act_by.costs, spec.format_version))
            return {"champion": by_cost, "fallback": by_cost}
        return {
            "champion": ByThresholds(_thresholds(act_by.champion)),
            "fallback": ByThresholds(_thresholds(act_by.fallback)),
        }
    except FraudsimError as error:
        raise FraudsimError(f"policy {where}: act_by.{error}") from None


def _costs(named: Mapping[str, float], format_version: int) -> Costs:
    if format_version == FORMAT_VERSION:
        return Costs(**named)
    costs = {**EARLIER_COSTS, **named}
    return Costs(**{"unheld_review_misses": costs["review_misses"], **costs})


def _thresholds(cuts: CutOffs | None) -> Thresholds | None:
    return None if cuts is None else Thresholds(cuts.step_up, cuts.review, cuts.decline)
