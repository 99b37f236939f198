"""One real scorer under load: model, rules and thresholds are changed many times, damaged, rolled back.

Every decision is checked against the versions it names: its score is that model's for its feature vector, its
action that policy's for the score.
"""

import json
import shutil
import threading
import time
from collections import Counter

import numpy as np
import pytest
from kafka import KafkaProducer

from fraudsim.log.events import Transaction, encoder
from fraudsim.log.topics import TRANSACTIONS
from fraudsim.polling import poll_until
from model.artefact.files import load_model
from model.registry import aliases as roles
from model.registry.versions import add_version, change_aliases, folder_of
from scorer.policy import store as policy_store
from scorer.policy.file import SHIPPED, load_policy
from scorer.policy.rules import RuleInput
from stream_features.vector import as_vector
from testing.rigs.live_scorer import ask, decisions_in_log, live_scorer, log_entries
from testing.rigs.open_loop import OpenLoop
from testing.samples.small_models import make_models

pytestmark = pytest.mark.stack
AT_REST_S = 2.0
MODELS = 5
"""Promoted in turns; only champion and previous stay loaded, so that each promotion loads one."""
STREAM_RATE = 50
SHARE, SALT = 0.3, "changes"


def make_policies(folder, changes):
    """Folders of policies, two for each change: first another rule, then other thresholds too."""
    policy_json = json.loads((SHIPPED / "policy.json").read_text())
    del policy_json["limits"]["flag_from_probability"]  # with a low bar, models differ more often
    policy_dirs = []
    for number in range(2 * changes):
        rule, cut = (number + 1) // 2, number // 2
        new = folder / f"p{number}"
        shutil.copytree(SHIPPED, new)
        cuts = {"step_up": 0.05 + 0.01 * cut, "review": 0.3 + 0.005 * cut, "decline": 0.5 + 0.005 * cut}
        act_by = {"type": "thresholds", "champion": cuts, "fallback": None}
        (new / "policy.json").write_text(json.dumps(policy_json | {"name": f"p{number}", "act_by": act_by}))
        table, examples_file = new / "rules" / "velocity.json", new / "rules" / "velocity.examples.json"
        table.write_text(table.read_text().replace(">= 15", f">= {5 + rule}"))
        examples = json.loads(examples_file.read_text())
        for feature in (each.get("feature", {}) for each in examples):
            if feature.get("card_count_1m") in (14, 15):
                feature["card_count_1m"] += rule - 10
        examples_file.write_text(json.dumps(examples))
        policy_dirs.append(new)
    return policy_dirs


def transaction(source, n, ts):
    """Some cards are busy enough for the rule."""
    amounts = (300, 5_000, 60_000, 200_000)
    card = n % (40 if n % 3 == 0 else 1_000)
    return Transaction(tx_id=f"{source}-{n}", ts=ts, card_id=f"c{card}", amount_cents=amounts[n % 4] + n % 97)


class ByStream(threading.Thread):
    """Sends transactions to the log at a steady rate until `end` is called."""

    def __init__(self, settings):
        super().__init__(daemon=True)
        self.producer = KafkaProducer(bootstrap_servers=settings.kafka_bootstrap, acks="all")
        self.sent = 0
        self.over = threading.Event()

    def run(self):
        started = time.monotonic()
        while not self.over.wait(max(0.0, started + self.sent / STREAM_RATE - time.monotonic())):
            tx = transaction("log", self.sent, int(time.time() * 1000))
            key = tx.card_id.encode()
            self.producer.send(TRANSACTIONS, encoder.encode(tx), key, headers=[("segment", b"1")])
            self.sent += 1

    def end(self):
        self.over.set()
        self.join()
        self.producer.flush()


def percentiles(replies):
    ms = sorted(1000 * seconds for *_, seconds in replies)
    return f"p50 {ms[len(ms) // 2]:.1f}, p99 {ms[int(0.99 * len(ms))]:.1f}, max {ms[-1]:.1f} ms"


def check_decision(decision, models, policies):
    """Recompute a decision from the model and policy versions it names."""
    source, n = decision.tx_id.split("-")
    tx = transaction(source, int(n), decision.ts)
    row = as_vector(decision.features)
    model, policy = models[decision.model_version], policies[decision.policy_version]
    scorer, of, variant = model, model.manifest, "champion"
    if decision.degraded:
        scorer, of, variant = model.fallback, model.manifest.fallback, "fallback"
    assert decision.score == float(scorer.predict(row[np.newaxis])[0])
    assert decision.probability == of.to_probability.probability(decision.score)
    assessment = policy.assess(
        RuleInput(tx, row, decision.score, decision.probability), variant, of.thresholds,
        lambda *_: pytest.fail("rule"), decision.block,
    )  # fmt: skip
    choice = policy.choose(tx, assessment)
    assert (decision.action, decision.rule_hits) == (choice.action, choice.rule_hits)
    assert (decision.held_back, decision.weight) == (choice.held_back, choice.weight)


@pytest.mark.parametrize(
    ("rate", "trees", "changes"),
    [
        pytest.param(100, 60, 5, id="5 of each at 100 a second"),
        pytest.param(500, 200, 20, id="20 of each at 500 a second", marks=pytest.mark.long),
    ],
)
def test_changes_fail_no_request_and_every_decision_is_that_of_the_versions_it_bears(
    tmp_path, rate, trees, changes
):
    *folders, challenger_folder, shadow_folder = make_models(tmp_path, MODELS + 2, trees)
    registry, policy = tmp_path / "models", tmp_path / "policy"
    versions = [
        add_version(folder, registry)[0].version for folder in (*folders, challenger_folder, shadow_folder)
    ]
    *news, challenger, shadow = versions
    change_aliases(registry, lambda now: roles.add_challenger(now, challenger, SHARE, SALT))
    change_aliases(registry, lambda now: roles.add_shadow(now, shadow))
    policy_folders = [SHIPPED, *make_policies(tmp_path, changes)]
    policies = {loaded.version: loaded for loaded in map(load_policy, policy_folders)}
    policy_versions = [*policies]
    assert len(policy_versions) == 2 * changes + 1
    policy_store.put(SHIPPED, policy)
    with live_scorer(
        tmp_path, model_dir=registry, policy=policy, deadline_ms=1000, http_max_concurrent=10_000,
        http_queue_ms=10_000,
    ) as line:  # fmt: skip

        def body(n):
            tx = transaction("http", n, 0)
            return encoder.encode({"tx_id": tx.tx_id, "card_id": tx.card_id, "amount_cents": tx.amount_cents})

        def seconds_until(field, version):
            """From now to the first decision by a version, by its own stamp."""
            written_us, seen = time.time_ns() / 1000, len(http.replies)

            def stamps_of_version():
                return [reply["stamps"]["decided"] for _, _, reply, _ in http.replies[seen:]
                        if reply[field] == version and reply["stamps"]["decided"] > written_us]  # fmt: skip

            assert poll_until(lambda: stamps_of_version() or not http.is_alive(), 60, every_s=0.01)
            return (min(stamps_of_version()) - written_us) / 1e6

        http = OpenLoop(line.http_port, "/v1/score", rate, body)
        stream = ByStream(line)
        http.start()
        stream.start()
        time.sleep(AT_REST_S)
        at_rest = len(http.replies)
        for n in range(changes):
            promoted = news[(n + 1) % MODELS]
            change_aliases(registry, lambda now, version=promoted: roles.promote(now, version))
            policy_store.put(policy_folders[2 * n + 1], policy)
            seconds_until("model_version", promoted)
            seconds_until("policy_version", policy_versions[2 * n + 1])
            policy_store.put(policy_folders[2 * n + 2], policy)
            seconds_until("policy_version", policy_versions[2 * n + 2])
        champion, changed = promoted, len(http.replies)

        # Damaged files are refused.
        (policy / "policy.json").write_text('{"name": "spoilt"')
        damaged = folder_of(registry, news[2]) / "model.ubj"
        good = damaged.read_bytes()
        damaged.write_bytes(good[:-1])
        change_aliases(registry, lambda now: roles.promote(now, news[2]))
        assert poll_until(
            lambda: log_entries(tmp_path, "model_refused") and log_entries(tmp_path, "policy_refused"), 20
        )
        time.sleep(0.3)
        last = [reply for _, _, reply, _ in http.replies[-20:]]
        assert {reply["model_version"] for reply in last} <= {champion, challenger}
        assert {reply["policy_version"] for reply in last} == {policy_versions[-1]}
        change_aliases(registry, roles.roll_back)
        damaged.write_bytes(good)
        (policy / "policy.json").write_bytes((policy_folders[-1] / "policy.json").read_bytes())
        change_aliases(registry, lambda now: roles.promote(now, news[1]))
        seconds_until("model_version", news[1])

        # A rollback is served at once.
        models_back, policies_back = [], []
        for version in (champion, news[1], champion):
            assert change_aliases(registry, roles.roll_back).champion == version
            models_back.append(seconds_until("model_version", version))
        for version in (policy_versions[-2], policy_versions[-1], policy_versions[-2]):
            assert policy_store.rollback(policy).version == version
            policies_back.append(seconds_until("policy_version", version))
        http.end()
        stream.end()
        model_reply = ask(line, "/v1/model")
        decisions = decisions_in_log(line, http.sent + stream.sent)

    assert http.failures == []
    assert Counter(status for _, status, _, _ in http.replies) == {200: http.sent}
    expected = [f"http-{n}" for n in range(http.sent)] + [f"log-{n}" for n in range(stream.sent)]
    assert sorted(decision.tx_id for decision in decisions) == sorted(expected)
    models = {version: load_model(folder_of(registry, version)) for version in versions}
    for decision in decisions:
        check_decision(decision, models, policies)
        is_challenger_card = roles.bucket_of(decision.card_id, SALT) < SHARE * roles.BUCKETS
        assert (decision.model_version == challenger) == is_challenger_card
        assert decision.variant == (
            "fallback" if decision.degraded else "challenger" if is_challenger_card else "champion"
        )
    served = {decision.model_version for decision in decisions}
    policies_seen = {decision.policy_version for decision in decisions}
    assert served == {*news, challenger}
    assert policies_seen == {*policies}
    assert {decision.via for decision in decisions} == {"http", "stream"}
    assert len({decision.action for decision in decisions}) >= 3
    assert any(decision.rule_hits for decision in decisions)

    ((shadow_reply),) = model_reply["shadows"]
    by_champion = sum(d.variant == "champion" for d in decisions if d.via == "stream") + http.sent
    assert shadow_reply["version"] == shadow
    assert 0 < shadow_reply["agreed"] < shadow_reply["compared"] <= by_champion
    assert shadow_reply["compared"] == shadow_reply["agreed"] + sum(shadow_reply["differed"].values())
    for event, fault in (("model_refused", "model.ubj"), ("policy_refused", "policy.json")):
        ((reason),) = [entry["reason"] for entry in log_entries(tmp_path, event)]
        assert fault in reason
        assert "\n" not in reason

    print(
        f"\n{rate}/s: {len(decisions)} decisions, {len(served)} models, {len(policies_seen)} policies; "
        f"from due to reply {percentiles(http.replies[:at_rest])} at rest, "
        f"{percentiles(http.replies[at_rest:changed])} amid {3 * changes} changes; "
        f"model back in {', '.join(f'{s:.2f}' for s in models_back)} s, "
        f"policy in {', '.join(f'{s:.2f}' for s in policies_back)} s; "
        f"shadow: {shadow_reply['compared']} compared, {model_reply['shadows_dropped']} dropped"
    )
    assert min(models_back) < 1
    assert min(policies_back) < 1
