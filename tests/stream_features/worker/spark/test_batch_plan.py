import json

import pytest

from fraudsim.errors import InvariantError
from stream_features.worker.spark.batch_plan import offsets_of, planned_ends, starting_offsets
from stream_features.worker.spark.log_ends import LogEnds


def test_offsets_go_to_spark_and_come_back_by_source(tmp_path):
    text = starting_offsets([5, 0, 7, 9], 2)
    assert json.loads(text) == {"transactions": {"0": 5, "1": 0}, "labels": {"0": 7, "1": 9}}
    (tmp_path / "offsets").mkdir()
    (tmp_path / "offsets" / "3").write_text(f"v1\n{{}}\n{text}\n")
    assert planned_ends(tmp_path, 3, 2) == [5, 0, 7, 9]


def test_a_note_of_another_log_or_none_is_said(tmp_path):
    with pytest.raises(InvariantError, match="lack a partition"):
        offsets_of('{"transactions": {"0": 1}}', 2)
    with pytest.raises(InvariantError, match=r"offsets/0: Spark's note of the batch cannot be read"):
        planned_ends(tmp_path, 0, 2)


def test_the_state_is_as_fresh_as_the_last_question_whose_answer_is_folded():
    ends = LogEnds()
    assert ends.fresh_at_ms([0, 0]) is None
    assert ends.lag([0, 0]) == 0
    for at_ms, answer in ((100, (0, 0)), (200, (3, 0)), (300, (3, 2)), (400, (9, 2))):
        ends.note(at_ms, answer)
    assert ends.fresh_at_ms([2, 0]) == 100
    assert ends.fresh_at_ms([3, 1]) == 200
    assert ends.fresh_at_ms([8, 2]) == 300
    assert ends.lag([8, 0]) == 3
    assert ends.fresh_at_ms([9, 5]) == 400
