"""The fast-forward is the line: a live run's decisions, again."""

from fraudsim.archive.log_files import log_files
from fraudsim.settings import Settings
from simulator.proof.decided_again import decide_again
from simulator.proof.generated_again import generate_again

DECISIONS = 240


def test_scores_and_actions_of_a_live_run_are_decided_again_to_the_bit(earlier_run):
    again = decide_again(earlier_run, Settings())
    assert (again.decisions, again.left_out) == (DECISIONS, 0)
    assert (again.vectors_differ, again.scores_differ, again.actions_differ) == (0, 0, 0)


def test_a_live_run_is_generated_again_and_every_difference_has_its_cause(earlier_run):
    again = generate_again(earlier_run, Settings())
    assert (again.transactions, again.transactions_differ) == (DECISIONS, 0)
    assert again.decisions == DECISIONS
    assert again.unexplained == 0
    assert sum(again.causes.values()) <= again.vectors_differ + again.actions_differ


def test_a_score_that_was_tampered_with_is_noticed(earlier_run, tmp_path):
    import shutil

    import pyarrow.parquet as pq

    run = tmp_path / "run"
    shutil.copytree(earlier_run, run)
    path = log_files(run, "decisions")[0]
    table = pq.read_table(path)
    scores = table["score"].to_pylist()
    scores[0] = scores[0] + 1e-9
    metadata = table.schema.metadata
    index = table.column_names.index("score")
    table = table.set_column(index, table.schema.field(index), [scores])
    pq.write_table(table.replace_schema_metadata(metadata), path)
    assert decide_again(run, Settings()).scores_differ == 1
