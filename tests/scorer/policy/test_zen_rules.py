"""Rules by zen: the guard skips no hit, and what zen would silently ignore is refused."""

import copy
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fraudsim.errors import FraudsimError
from fraudsim.log.events import Transaction
from scorer.policy.file import SHIPPED, load_policy, parse_policy, read_folder
from scorer.policy.rule_guard import condition_of
from scorer.policy.rules import RuleError, RuleFile, RuleInput
from stream_features.catalogue.features import NAMES
from stream_features.vector import SIZE

TABLE = json.loads((SHIPPED / "rules" / "velocity.json").read_text())
COUNT, SPEED = NAMES.index("card_count_1m"), NAMES.index("card_speed")


def table(*rows):
    """The shipped table with other rows: cells for count, speed, channel."""
    made = copy.deepcopy(TABLE)
    made["nodes"][1]["content"]["rules"] = [
        {"_id": f"r{n}", "count": row[0], "speed": row[1], "channel": row[2], "name": f"'r{n}'",
         "action": "'review'"}
        for n, row in enumerate(rows)
    ]  # fmt: skip
    return made


def expression(text):
    made = copy.deepcopy(TABLE)
    made["nodes"][1] = {
        "id": "table", "type": "expressionNode", "name": "computed",
        "content": {"expressions": [{"id": "1", "key": "hits", "value": text}]},
    }  # fmt: skip
    return made


def seen(count=1.0, speed=0.0, channel="pos", score=0.5):
    vector = np.full(SIZE, np.nan, np.float32)
    vector[COUNT], vector[SPEED] = count, speed
    return RuleInput(
        Transaction(tx_id="t", ts=0, card_id="c", amount_cents=1, channel=channel), vector, score, score
    )


near = st.one_of(
    st.sampled_from([0.1, float(np.float32(0.1)), 15.0, 14.999999, 15.000001, np.nan, -3.0, 1e9, 1500.0]),
    st.floats(0, 2_000, width=32),
)
cells = st.sampled_from(
    ["", ">= 15", "> 0.1", "< 15", "<= 0.1", ">= -3", "> 1_500", "[1..15]", "> 1 and < 15"]
)
texts = st.sampled_from(["", "'pos'", "['pos', 'atm']", "'pos', 'moto'", "$ != 'pos'", "null"])


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(cells, cells, texts), min_size=1, max_size=3),
    st.lists(st.tuples(near, near, st.sampled_from(["pos", "atm", None])), min_size=8, max_size=8),
)
def test_the_guard_never_skips_what_zen_would_hit(rows, transactions):
    try:
        rules = RuleFile("r", "r", table(*rows))
    except FraudsimError as error:
        assert "cannot be read" in str(error)  # noqa: PT017
        return
    for each in transactions:
        if not rules.may_hit(seen(*each)):
            assert rules.hits(seen(*each)) == []


def test_the_shipped_rules_are_not_asked_of_an_ordinary_transaction():
    (rules,) = load_policy(SHIPPED).rules
    assert not rules.always_evaluated
    assert not rules.may_hit(seen())
    assert not rules.may_hit(seen(speed=9_000, channel="ecommerce"))
    assert rules.may_hit(seen(count=15))
    assert [hit.name for hit in rules.hits(seen(speed=1_501))] == ["impossible_travel"]


def test_what_the_guard_cannot_read_is_asked_of_everything():
    assert condition_of("> 1 and < 15") is None
    assert RuleFile("r", "r", table(("> 1 and < 15", "", ""))).always_evaluated
    assert RuleFile("r", "r", expression("feature.card_speed > 5 ? [] : []")).always_evaluated


def test_a_rule_may_be_an_expression_over_features_and_score():
    text = "score > 0.4 and tx.amount_cents > 0 ? [{name: 'a', action: 'decline'}] : []"
    rules = RuleFile("r", "r", expression(text))
    assert sorted(rules.columns) == ["score", "tx.amount_cents"]
    assert [(hit.name, hit.action) for hit in rules.hits(seen())] == [("a", "decline")]
    assert rules.hits(seen(score=0.3)) == []


def test_what_zen_cannot_evaluate_is_an_error_and_no_hit():
    with pytest.raises(RuleError, match="Failed to evaluate"):
        RuleFile("r", "r", expression("feature.card_speed > 5 ? [] : []")).hits(seen(speed=np.nan))
    with pytest.raises(RuleError, match=r"no list of \{name, action\}.*'refuse'"):
        RuleFile("r", "r", expression("[{name: 'a', action: 'refuse'}]")).hits(seen())


def files(change=lambda files: None):
    found = read_folder(SHIPPED)
    change(found)
    return found


def edit(name, change):
    """The shipped policy with the JSON of one file changed."""

    def edited(found):
        document = json.loads(found[name])
        change(document)
        found[name] = json.dumps(document).encode()

    return files(edited)


RULE, EXAMPLES = "rules/velocity.json", "rules/velocity.examples.json"


def cell(row, column, text):
    return edit(RULE, lambda d: d["nodes"][1]["content"]["rules"][row].update({column: text}))


def act_by(**words):
    return edit("policy.json", lambda d: d.update(act_by=words))


BAD = {
    "no json": (files(lambda f: f.update({"policy.json": b"{"})), "policy.json: Input data was truncated"),
    "unknown field": (edit("policy.json", lambda d: d.update(rulez=1)), "unknown field `rulez`"),
    "limit": (
        edit("policy.json", lambda d: d["limits"].update(declined_share_of_day=1.5)),
        r"policy.json: .*<= 1.0 - at `\$.limits.declined_share_of_day`",
    ),
    "cost": (
        act_by(type="expected_cost", costs={"review_cost": 1}),
        r"policy.json: act_by.costs: review_cost is not known; did you mean review_cost_cents\?",
    ),
    "negative cost": (
        act_by(type="expected_cost", costs={"review_cost_cents": -1}),
        r"act_by.costs: review_cost_cents=-1.0 must be",
    ),
    "thresholds": (
        act_by(type="thresholds", champion={"step_up": 0.5, "review": 0.1, "decline": 0.9}),
        r"act_by.thresholds: .*step_up=0.5",
    ),
    "format": (edit("policy.json", lambda d: d.update(format_version=9)), "format_version=9, this program"),
    "cell": (cell(0, "count", ">== 15"), r"velocity.json: node 'velocity', row 0, .*'>== 15' cannot be read"),
    "feature": (
        edit(RULE, lambda d: d["nodes"][1]["content"]["inputs"][0].update(field="feature.card_cuont_1m")),
        r"feature.card_cuont_1m is not known; did you mean card_count_1m\?",
    ),
    "wall clock": (
        edit(RULE, lambda d: d["nodes"][1]["content"]["inputs"][0].update(field="tx.sent_at")),
        "tx.sent_at is not known",
    ),
    "chance": (cell(0, "count", "> rand(100)"), "depends on chance"),
    "function": (edit(RULE, lambda d: d["nodes"][1].update(type="functionNode")), "is a functionNode"),
    "shapeless": (edit(RULE, lambda d: d.pop("nodes")), "no JSON Decision Model"),
    "hit policy": (
        edit(RULE, lambda d: d["nodes"][1]["content"].update(hitPolicy="some")),
        "velocity.json: .*unknown variant `some`",
    ),
    "example fails": (
        cell(0, "count", ">= 16"),
        r"examples.json: example 'the fifteenth in a minute' hits nothing, expected burst_of_one_c",
    ),
    "action": (cell(0, "action", "'refuse'"), "example 'the fifteenth in a minute': its result is no list"),
    "no examples": (files(lambda f: f.pop(EXAMPLES)), "velocity.json: it has no examples; write them into"),
    "stray examples": (files(lambda f: f.pop(RULE)), "velocity.examples.json: there is no rule file"),
    "rule without example": (
        edit(EXAMPLES, lambda d: d.__delitem__(slice(4, None))),
        "no example in which rule 'impossible_travel' hits",
    ),
    "always hit": (
        edit(EXAMPLES, lambda d: d.__setitem__(slice(None), [d[-1]])),
        "no example in which rule 'burst_of_one_card' does not hit",
    ),
    "example's feature": (
        edit(EXAMPLES, lambda d: d[0]["feature"].update(card_sped=1)),
        "example 'an ordinary purchase': feature.card_sped is not known; did you mean card_speed",
    ),
    "twice": (
        files(lambda f: f.update({"rules/a.json": f[RULE], "rules/a.examples.json": f[EXAMPLES]})),
        "rule '.*' is in rules/.*.json too",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("bad", "message"), BAD.values(), ids=BAD.keys())
def test_a_bad_policy_is_refused_in_one_line_that_names_what_is_wrong(bad, message):
    with pytest.raises(FraudsimError, match=message) as caught:
        parse_policy(bad, "here")
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith("policy here/")


def test_the_version_follows_what_decides_and_nothing_else():
    version = parse_policy(files(), "here").version
    assert version.startswith("default-")
    spaced = files(lambda f: f.update({RULE: json.dumps(json.loads(f[RULE]), indent=7).encode()}))
    assert parse_policy(spaced, "there").version == version
    fewer = edit(EXAMPLES, lambda d: d.pop(0))
    assert parse_policy(fewer, "here").version == version
    for changed in (
        edit("policy.json", lambda d: d["exploration"].update(share=0.03)),
        edit("policy.json", lambda d: d["act_by"]["costs"].update(review_cost_cents=401)),
        edit(RULE, lambda d: d["nodes"][1]["content"]["rules"][1].update(speed="> 1500.0")),
    ):
        assert parse_policy(changed, "here").version != version
