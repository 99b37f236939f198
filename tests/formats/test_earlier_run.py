"""This version reads the run folder, history, model, registry and policy of an earlier one.

`earlier_run.tar.xz` is a run folder without process logs and server data, written by
`fraudsim demo --seconds 6 --rate 40 --cards 150 --history-days 50 --seed 5`.
Replace it only for a documented change of a format.
"""

import hashlib
import tarfile
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from fraudsim.cli import build
from producers.history.writer import write_history
from producers.world.config import WorldConfig
from producers.world.world import World
from stream_features.catalogue.features import HASH
from stream_features.kernels.state import to_bytes
from stream_features.offline.history_tables import history_fingerprint, read_history_tables
from stream_features.store.prime import state_of_history

ARCHIVE = Path(__file__).with_name("earlier_run.tar.xz")
CATALOGUE = "edb6871b9b486484"
MODEL = "f0b09b41e18624d2"
DECISIONS = 240
STEPPED_UP = "bede9500b1116a4c"
HISTORY_END_MS, HORIZON_MS = 1_708_387_200_000, 318_822_280
STATES = (1389, "ccddbe81085c86f68907b661bbd21e9e335ee1127b7acc4b0a8691bff7e8fe6a")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("earlier") / "run"
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(folder, filter="data")
    return folder


def fraudsim(*words: str | Path) -> Result:
    result = CliRunner().invoke(build(), [str(word) for word in words], env={"COLUMNS": "200"})
    assert result.exit_code == 0, result.output
    return result


def test_the_catalogue_has_the_hash_that_the_run_names():
    assert CATALOGUE == HASH


def test_every_served_vector_is_recomputed_to_the_bit(run):
    said = fraudsim("features", "parity", "--run", run).output
    assert f"{DECISIONS} vectors of 65 features, {DECISIONS} by DuckDB" in said
    assert "0 values differ" in said


def test_a_decision_is_explained_with_its_reasons_and_costs(run):
    said = fraudsim("explain", STEPPED_UP, "--run", run).output
    assert f"model       {MODEL} (champion)" in said
    assert "Few payments from this device: 1 in the last 30 days" in said
    assert "step_up            2.55" in said


def test_the_policy_decides_again_as_it_did(run):
    said = fraudsim("policy", "dry-run", run / "policy", "--run", run).output
    assert f"0 of {DECISIONS} would change" in said
    fraudsim("policy", "check", run / "policy")


def test_the_model_and_its_registry_are_read_and_the_sample_scores_as_before(run):
    assert MODEL in fraudsim("model", "check", run / "models" / MODEL).output
    assert "champion" in fraudsim("model", "list", "--at", run / "models").output


def test_the_history_is_described(run):
    assert "chargeback: fraud" in fraudsim("world", "describe", run / "history").output


def test_the_world_makes_the_same_history_again(run, tmp_path):
    write_history(tmp_path, World(WorldConfig(cards=150, seed=5)), 50)
    assert history_fingerprint(tmp_path) == history_fingerprint(run / "history")


def test_the_states_of_the_history_are_the_same_bytes(run):
    digest = hashlib.sha256()
    states = state_of_history(*read_history_tables(run / "history"), HISTORY_END_MS, HORIZON_MS)
    for entity, key in sorted(states):
        digest.update(f"{entity}:{key}".encode())
        digest.update(to_bytes(states[entity, key]))
    assert (len(states), digest.hexdigest()) == STATES
