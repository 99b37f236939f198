"""A policy's folder is exchanged whole, and its previous one is kept for a rollback."""

import json
import shutil

import pytest

from fraudsim.errors import FraudsimError
from scorer.policy.file import POLICY_FILE, SHIPPED, load_policy
from scorer.policy.store import previous_of, put, rollback


def versions(folder):
    return load_policy(folder).version, load_policy(previous_of(folder)).version


def test_a_rollback_swaps_a_folder_with_its_previous_one_and_leaves_nothing_beside(tmp_path):
    folder, other = tmp_path / "policy", tmp_path / "other"
    shutil.copytree(SHIPPED, other)
    spec = json.loads((other / POLICY_FILE).read_text())
    (other / POLICY_FILE).write_text(json.dumps({**spec, "name": "other"}))
    first, second = put(SHIPPED, folder).version, put(other, folder).version
    assert versions(folder) == (second, first)
    assert rollback(folder).version == first
    assert versions(folder) == (first, second)
    assert rollback(folder).version == second
    assert versions(folder) == (second, first)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other", "policy", "policy.previous"]


def test_what_is_no_policy_changes_nothing(tmp_path):
    folder, broken = tmp_path / "policy", tmp_path / "broken"
    version = put(SHIPPED, folder).version
    shutil.copytree(SHIPPED, broken)
    (broken / POLICY_FILE).write_text("{")
    with pytest.raises(FraudsimError, match="broken"):
        put(broken, folder)
    assert load_policy(folder).version == version
    with pytest.raises(FraudsimError, match=r"no policy\.previous beside it"):
        rollback(folder)
    for change in (lambda: rollback(SHIPPED), lambda: put(folder, SHIPPED)):
        with pytest.raises(FraudsimError, match="the shipped one stays"):
            change()
