"""Dry runs of an archived run under the same policy and under others, and the explanation of a decision."""

import json
import shutil
from dataclasses import replace

import msgspec
import numpy as np
import pytest
from typer.testing import CliRunner

from fraudsim.archive.log_files import log_folder, write_file
from fraudsim.archive.records import Record, to_table
from fraudsim.cli import build
from fraudsim.log.events import ACTIONS, Block, Decision, Label, LogPrefix, Stamps, Transaction, encoder
from fraudsim.log.topics import DECISIONS, LABELS, TRANSACTIONS
from model.artefact.calibration import Calibration
from model.artefact.costs import expected_costs
from model.artefact.files import read_manifest
from model.artefact.manifest import REQUEST_NAMES, feature_hash, seal, to_json
from model.artefact.thresholds import Thresholds
from scorer.explain.archived_decisions import Manifests, read_decisions, read_manifests
from scorer.explain.dry_run import decide_again, known_frauds, transitions
from scorer.explain.explanation import explain
from scorer.policy.file import SHIPPED, load_policy
from scorer.policy.rules import RuleInput
from scorer.policy.store import put
from stream_features.catalogue.features import DAY, HASH, NAMES
from stream_features.catalogue.reason_text import sentences
from stream_features.vector import SIZE, as_list
from testing.samples.manifest import MANIFEST

T0 = 1_700_000_000_000
COUNT = NAMES.index("card_count_1m")
BURST = 7
"""The transaction that a rule hits."""


def manifest():
    fallback = msgspec.structs.replace(MANIFEST.fallback, features=list(REQUEST_NAMES))
    return seal(
        msgspec.structs.replace(
            MANIFEST,
            label_gap_days=0.0,
            features=list(NAMES),
            catalogue_hash=HASH,
            feature_hash=feature_hash(list(NAMES)),
            fallback=fallback,
            calibration=Calibration(1.2, 0.5),
        )
    )


def sampled(n):
    """Transaction, features and score of one; scores rise from 0 to nearly 1, amounts go up and down."""
    amount = 100 + 7_919 * n % 40_000
    tx = Transaction(tx_id=f"t{n}", ts=T0 + n * DAY // 50, card_id="c", amount_cents=amount, channel="pos")
    features = np.zeros(SIZE, np.float32)
    features[COUNT] = 30 if n == BURST else 1
    return tx, features, (n / 200) ** 3


def record(offset, event, partition=0):
    return Record(partition, offset, T0, b"c", (), encoder.encode(event))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """200 transactions decided by the shipped policy, t150 twice, every third of the risky a known fraud."""
    folder, policy, model = tmp_path_factory.mktemp("run"), load_policy(SHIPPED), manifest()
    transactions, decisions, labels = [], [], []
    for n in range(200):
        tx, features, score = sampled(n)
        probability = model.to_probability.probability(score)
        assessment = policy.assess(
            RuleInput(tx, features, score, probability), "champion", model.thresholds, None
        )
        choice = policy.choose(tx, assessment)
        decision = Decision(
            tx_id=tx.tx_id, ts=tx.ts, card_id="c", amount_cents=tx.amount_cents, score=score,
            action=choice.action, reasons=["amount"], rule_hits=choice.rule_hits, model_version=model.version,
            policy_version=policy.version, variant="champion",
            stamps=Stamps(intended=n, received=n, state_read=n, features=n, scored=n, decided=n),
            source_partition=0, source_offset=n, prefix=LogPrefix(slots={}, tail_from=[], tail_to=[]),
            staleness_ms=0.0, features=as_list(features), feature_hash=HASH, probability=probability,
            held_back=choice.held_back, weight=choice.weight,
        )  # fmt: skip
        transactions.append(record(n, tx))
        decisions.append(record(n, decision))
        if n > 100 and n % 3 == 0:
            known = {"tx_id": tx.tx_id, "card_id": "c", "ts": tx.ts, "amount_cents": tx.amount_cents}
            labels.append(Label(**known, is_fraud=True, source="chargeback", known_at=T0))
    last = msgspec.json.decode(decisions[150].value, type=Decision)
    decisions.append(record(200, msgspec.structs.replace(last, action="approve", stamps=last.stamps)))
    log_folder(folder).mkdir()
    (folder / "model").mkdir()
    (folder / "model" / "manifest.json").write_bytes(to_json(model))
    write_file(folder, TRANSACTIONS, 0, to_table(TRANSACTIONS, transactions))
    write_file(folder, DECISIONS, 0, to_table(DECISIONS, decisions))
    write_file(folder, LABELS, 0, to_table(LABELS, [record(n, label) for n, label in enumerate(labels)]))
    put(SHIPPED, folder / "policy")
    return folder


def changed(tmp_path, **words):
    shutil.copytree(SHIPPED, tmp_path / "new")
    document = json.loads((SHIPPED / "policy.json").read_text()) | words
    (tmp_path / "new" / "policy.json").write_text(json.dumps(document))
    return tmp_path / "new"


def fraudsim(*words):
    result = CliRunner().invoke(build(), [str(word) for word in words], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def again(run, policy):
    decisions = list(read_decisions(run))
    return decisions, decide_again(load_policy(policy), decisions, Manifests(manifest()))


def test_the_policy_that_decided_decides_the_same_again(run):
    decisions, choices = again(run, SHIPPED)
    assert [decision.tx.tx_id for decision in decisions] == [f"t{n}" for n in range(200)]
    assert [decision.action for decision in decisions] == [choice.action for choice in choices]
    assert [decision.row["weight"] for decision in decisions] == [choice.weight for choice in choices]
    assert {choice.action for choice in choices} == {"approve", "step_up", "review", "decline"}


def test_another_policy_changes_what_it_must_and_limits_hold_by_day(run, tmp_path):
    limits = {"reviews_per_day": 2, "decline_from_cents": 20_000, "declined_share_of_day": None}
    decisions, choices = again(run, changed(tmp_path, limits=limits))
    by_day = {}
    for decision, choice in zip(decisions, choices, strict=True):
        by_day.setdefault(decision.tx.ts // DAY, []).append(choice.action)
        if decision.action in ("approve", "step_up") and not decision.row["held_back"]:
            assert (choice.action, choice.held_back) == (decision.action, [])
        if choice.action == "decline":
            assert decision.tx.amount_cents >= 20_000
    assert {actions.count("review") for actions in by_day.values()} <= {0, 1, 2}
    frauds = known_frauds(run, (decision.tx for decision in decisions))
    assert frauds == {f"t{n}" for n in range(102, 200, 3)}
    table = transitions(decisions, choices, frauds)
    assert sum(transition.count for transition in table.values()) == 200
    assert sum(transition.known_frauds for transition in table.values()) == len(frauds)
    assert sum(transition.cents for transition in table.values()) == sum(
        decision.tx.amount_cents for decision in decisions
    )
    assert sum(transition.fraud_cents for transition in table.values()) == sum(
        decision.tx.amount_cents for decision in decisions if decision.tx.tx_id in frauds
    )
    pair = table["decline", "step_up"]
    assert pair.count == sum(
        (decision.action, choice.action) == ("decline", "step_up")
        for decision, choice in zip(decisions, choices, strict=True)
    )


def test_the_commands_tell_it(run, tmp_path):
    new = changed(tmp_path, name="strict", act_by={"type": "thresholds", "champion": None, "fallback": None})
    assert "strict-" in fraudsim("policy", "check", new)
    output = fraudsim("policy", "dry-run", new, "--run", run)
    decisions, choices = again(run, new)
    moved = sum(decision.action != choice.action for decision, choice in zip(decisions, choices, strict=True))
    assert f"{moved} of 200 would change" in output
    assert moved > 10


def test_an_explanation_tells_features_rules_costs_and_versions(run):
    tx, features, score = sampled(BURST)
    output = fraudsim("explain", f"t{BURST}", "--run", run)
    probability = manifest().to_probability.probability(score)
    assert f"score       {score:.6f}, calibrated probability of fraud {probability:.6f}" in output
    assert "action      review" in output
    assert "burst_of_one_card asks for review at least: feature.card_count_1m=30.0" in output
    costs = load_policy(SHIPPED).act_by["champion"].costs
    for action, cents in zip(ACTIONS, expected_costs(tx.amount_cents, probability, 0.0, costs), strict=True):
        assert f"  {action:10} {cents / 100:12,.2f}\n" in output
    assert f"policy      {load_policy(SHIPPED).version}\n" in output
    assert f"model       {manifest().version} (champion)\n" in output
    (sentence,) = sentences(["amount"], as_list(features))
    assert f"reasons     {sentence}\n" in output
    assert f"  {'card_count_1m':24} 30\n" in output
    assert output.count("\n") > SIZE


def test_of_a_transaction_decided_twice_the_first_decision_is_explained(run):
    assert "action      approve" not in fraudsim("explain", "t150", "--run", run)


def test_an_explored_decline_says_with_what_chance(run):
    decisions = list(read_decisions(run))
    explored = [decision.tx.tx_id for decision in decisions if decision.row["held_back"] == ["exploration"]]
    declined = [
        decision.tx.tx_id
        for decision in decisions
        if decision.action == "decline" and decision.row["weight"] != 1
    ]
    assert "gave the action a chance of 0.98" in fraudsim("explain", declined[0], "--run", run)
    for tx_id in explored:
        assert "gave the action a chance of 0.02" in fraudsim("explain", tx_id, "--run", run)


def test_without_the_policy_that_decided_costs_are_not_made_up(run, tmp_path):
    other = tmp_path / "run"
    shutil.copytree(run, other)
    table = to_table(
        DECISIONS, [record(0, msgspec.structs.replace(decision_of(run, 5), policy_version="x-1"))]
    )
    shutil.rmtree(log_folder(other))
    log_folder(other).mkdir()
    for path in log_folder(run).glob("transactions-*"):
        shutil.copy(path, log_folder(other))
    write_file(other, DECISIONS, 0, table)
    (other / "model" / "manifest.json").write_bytes(
        to_json(seal(msgspec.structs.replace(manifest(), thresholds=Thresholds(0.5, 0.6, 0.7))))
    )
    output = fraudsim("explain", "t5", "--run", other)
    assert f"the run's folder holds {read_manifest(other / 'model').version}" in output
    assert f"decided by {manifest().version}; " in fraudsim("policy", "dry-run", SHIPPED, "--run", other)
    assert "the policy of that version is not in the run's folder: name it by --policy" in output
    assert "expected cost" not in output


def test_each_decision_is_explained_by_the_manifest_of_its_model_where_the_registry_has_it(run, tmp_path):
    other, version = tmp_path / "other", manifest().version
    shutil.copytree(run, other)
    (other / "models" / version).mkdir(parents=True)
    (other / "model" / "manifest.json").rename(other / "models" / version / "manifest.json")
    uncalibrated = seal(msgspec.structs.replace(manifest(), calibration=Calibration()))
    (other / "model" / "manifest.json").write_bytes(to_json(uncalibrated))
    run_manifests, decisions = read_manifests(other), list(read_decisions(other))
    assert (
        {run_manifests.of(decision).version for decision in decisions} == {version} != {uncalibrated.version}
    )
    assert fraudsim("explain", "t5", "--run", other) == fraudsim("explain", "t5", "--run", run)
    assert "decided by" not in fraudsim("policy", "dry-run", SHIPPED, "--run", other)


def decision_of(run, n):
    row = next(iter(read_decisions(run, f"t{n}"))).row
    stamps = Stamps(**{name: row[f"stamp_{name}"] for name in Stamps.__struct_fields__})
    fields = {name: row[name] for name in Decision.__struct_fields__ if name not in ("stamps", "prefix")}
    return Decision(**fields, stamps=stamps, prefix=LogPrefix(slots={}, tail_from=[], tail_to=[]))


def test_a_blocked_card_stays_declined_under_any_policy_and_is_explained(run, tmp_path):
    block = Block(tx_id="reported", source="customer", from_ms=T0 - 1, until_ms=T0 + DAY)
    decision = next(iter(read_decisions(run, "t20")))
    blocked = replace(decision, row={**decision.row, "block": encoder.encode(block).decode()})
    lenient = changed(tmp_path, limits={
        "reviews_per_day": 0, "decline_from_cents": 1_000_000, "declined_share_of_day": 0.0,
    })  # fmt: skip
    policy, manifests = load_policy(lenient), read_manifests(run)
    before, after = (decide_again(policy, [one], manifests)[0] for one in (decision, blocked))
    assert (before.action, before.rule_hits) == ("approve", [])
    assert (after.action, after.rule_hits, after.held_back) == ("decline", ["card_blocked"], [])
    lines = [*explain(blocked, manifests.initial, policy)]
    assert any("blocked     until" in line and "by the customer's word on reported" in line for line in lines)
