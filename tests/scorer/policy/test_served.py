"""A watched policy: exchanged, refused and rolled back, without a scorer."""

import json
import shutil

import pytest

from fraudsim import metrics
from fraudsim.errors import FraudsimError
from scorer.policy.file import SHIPPED, load_policy
from scorer.policy.rules import RuleError
from scorer.policy.served import ServedPolicy
from scorer.policy.store import previous_of, put, rollback


class Log:
    def __init__(self):
        self.said = []

    def info(self, event, **fields):
        self.said.append((event, fields.get("version") or fields.get("reason")))

    error = info


@pytest.fixture
def folder(tmp_path):
    put(SHIPPED, tmp_path / "policy")
    return tmp_path / "policy"


@pytest.fixture
def served(folder):
    return ServedPolicy(folder, Log())


def another(folder, name="b", share=0.1):
    new = folder.with_name(name)
    shutil.copytree(SHIPPED, new)
    words = json.loads((new / "policy.json").read_text())
    words["name"], words["exploration"]["share"] = name, share
    (new / "policy.json").write_text(json.dumps(words))
    return new


def counted(outcome):
    return metrics.POLICY_CHANGES.labels(outcome)._value.get()


def active():
    return [s.labels["version"] for metric in metrics.POLICY_INFO.collect() for s in metric.samples]


def test_a_change_is_served_from_the_next_look_on_and_an_unchanged_folder_is_left_alone(folder, served):
    shipped, before = served.policy, counted("served")
    served.refresh()
    assert served.policy is shipped
    put(another(folder), folder)
    assert served.policy is shipped
    served.refresh()
    assert served.policy.version.startswith("b-")
    assert served.policy.exploration.share == 0.1
    assert (counted("served"), active()) == (before + 1, [served.policy.version])
    assert served._log.said == [("policy_served", served.policy.version)]


def test_a_bad_change_is_refused_once_and_the_served_one_stays(folder, served):
    shipped, before = served.policy, counted("refused")
    good = (folder / "policy.json").read_bytes()
    (folder / "policy.json").write_bytes(good.replace(b'"share": 0.02', b'"share": "lots"'))
    for _ in range(3):
        served.refresh()
    assert served.policy is shipped
    assert (counted("refused"), active()) == (before + 1, [shipped.version])
    ((event, reason),) = served._log.said
    assert event == "policy_refused"
    assert f"{folder}/policy.json: Expected `float`, got `str` - at `$.exploration.share`" in reason
    (folder / "policy.json").write_bytes(good)
    served.refresh()
    assert served.policy.version == shipped.version


def test_a_folder_that_is_away_for_a_moment_is_no_change_and_for_longer_is_said_once(folder, served):
    away = folder.with_name("away")
    folder.rename(away)
    served.refresh()
    away.rename(folder)
    served.refresh()
    assert served._log.said == []
    folder.rename(away)
    for _ in range(4):
        served.refresh()
    assert [event for event, _ in served._log.said] == ["policy_refused"]


def test_what_is_read_in_the_middle_of_a_change_waits_for_the_next_look(folder, served, monkeypatch):
    new = another(folder)
    halves = [{"policy.json": b"half"}, {"policy.json": b"more"}]
    with monkeypatch.context() as patched:
        patched.setattr("scorer.policy.served.read_folder", lambda _: halves.pop(0))
        served.refresh()
    assert halves == []
    assert served._log.said == []
    put(new, folder)
    served.refresh()
    assert served.policy.version.startswith("b-")


def test_a_rule_that_fails_is_counted_each_time_and_said_once(served):
    counter = metrics.RULE_ERRORS.labels("rules/x.json")
    before = counter._value.get()
    for _ in range(3):
        served.rule_failed("rules/x.json", RuleError("no"))
    assert counter._value.get() == before + 3
    assert served._log.said == [("rule_failed", "no")]


def test_a_rollback_brings_the_one_before_and_another_the_one_after(folder):
    versions = [load_policy(folder).version]
    for name in ("b", "c"):
        versions.append(put(another(folder, name), folder).version)
    assert rollback(folder).version == load_policy(folder).version == versions[1]
    assert load_policy(previous_of(folder)).version == versions[2]
    assert rollback(folder).version == versions[2]


def test_what_is_no_policy_is_not_put_and_the_shipped_one_is_not_overwritten(folder):
    version = load_policy(folder).version
    bad = another(folder)
    (bad / "policy.json").write_text("{}")
    with pytest.raises(FraudsimError, match="Object missing required field"):
        put(bad, folder)
    assert load_policy(folder).version == version
    with pytest.raises(FraudsimError, match="to go back to"):
        rollback(folder)
    with pytest.raises(FraudsimError, match="the shipped one stays as it is"):
        put(folder, SHIPPED)
