import pyarrow as pa
import pytest

from fraudsim.errors import FraudsimError
from model.training.dataset import build_dataset
from model.training.label_knowledge import EVENTUALLY, LabelKnowledge
from model.training.split import Split
from stream_features.catalogue.features import DAY

SPLIT = Split(0, 1 * DAY, 11 * DAY, 14 * DAY, 16 * DAY)


def transactions(*rows):
    """(tx_id, day, card_id)"""
    return pa.table(
        {
            "tx_id": [r[0] for r in rows],
            "ts": pa.array([int(r[1] * DAY) for r in rows], pa.int64()),
            "card_id": [r[2] for r in rows],
            "amount_cents": pa.array([100] * len(rows), pa.int64()),
        }
    )


def labels(*rows):
    """(tx_id, is_fraud, source, day known)"""
    return pa.table(
        {
            "tx_id": pa.array([r[0] for r in rows], pa.string()),
            "is_fraud": pa.array([r[1] for r in rows], pa.bool_()),
            "source": pa.array([r[2] for r in rows], pa.string()),
            "known_at": pa.array([int(r[3] * DAY) for r in rows], pa.int64()),
        }
    )


def fraud_known(at_day, *rows):
    time_ms = EVENTUALLY if at_day is None else int(at_day * DAY)
    return bool(LabelKnowledge.of(transactions(("t", 0, "c")), labels(*rows)).fraud_known_by(time_ms)[0])


def test_a_label_counts_only_strictly_after_it_became_known():
    label = ("t", True, "customer", 5)
    assert not fraud_known(5, label)
    assert fraud_known(5.001, label)


def test_a_later_label_reverses_an_earlier_one_from_the_time_it_is_known():
    story = [("t", True, "customer", 2), ("t", False, "analyst", 8)]
    assert fraud_known(8, *story)
    assert not fraud_known(8.001, *story)
    assert not fraud_known(None, *reversed(story))


@pytest.mark.parametrize(
    ("strong", "weak"), [("analyst", "chargeback"), ("chargeback", "customer"), ("analyst", "customer")]
)
def test_of_labels_known_at_once_the_higher_source_stands(strong, weak):
    for order in ([0, 1], [1, 0]):
        two_labels = [("t", True, strong, 3), ("t", False, weak, 3)]
        assert fraud_known(None, *[two_labels[i] for i in order])


def test_a_fraud_is_credited_to_whoever_reported_it_first():
    knowledge = LabelKnowledge.of(
        transactions(("a", 0, "c"), ("b", 0, "c")),
        labels(("a", False, "analyst", 1), ("a", True, "customer", 2), ("a", True, "chargeback", 40)),
    )
    assert knowledge.first_source() == ["customer", None]


def test_labels_of_other_transactions_are_left_out():
    assert not fraud_known(None, ("elsewhere", True, "analyst", 1))


def test_an_unknown_source_is_named():
    with pytest.raises(FraudsimError, match="'oracle'"):
        fraud_known(None, ("t", True, "oracle", 1))


ROWS = transactions(
    ("honest", 2, "h"), ("early", 3, "early"), ("late", 4, "late"), ("slice", 10, "slice"),
    ("honest2", 10, "h"),
    ("t-h", 14, "h"), ("t-early", 14, "early"), ("t-late", 15, "late"), ("t-cleared", 15, "cleared"),
    ("cleared", 5, "cleared"),
)  # fmt: skip
LABELS = labels(
    ("early", True, "customer", 6), ("late", True, "chargeback", 40), ("slice", True, "analyst", 11),
    ("t-h", True, "chargeback", 60), ("cleared", True, "customer", 7), ("cleared", False, "analyst", 13),
)  # fmt: skip


def names(mask):
    return set(ROWS["tx_id"].filter(pa.array(mask)).to_pylist())


def test_training_sees_only_labels_known_at_the_training_time():
    dataset = build_dataset(ROWS, LABELS, SPLIT)
    assert names(dataset.train & dataset.known_fraud) == {"early", "slice"}


def test_the_share_of_fraud_not_yet_known_is_counted():
    assert build_dataset(ROWS, LABELS, SPLIT).unknown_share == pytest.approx(1 / 3)


def test_cards_known_compromised_before_the_test_leave_it_and_cleared_or_unknown_ones_stay():
    dataset = build_dataset(ROWS, LABELS, SPLIT)
    assert names(dataset.test) == {"t-h", "t-late", "t-cleared"}
    assert dataset.compromised_cards == 2


def test_the_test_set_has_labels_however_late():
    dataset = build_dataset(ROWS, LABELS, SPLIT)
    assert names(dataset.test & dataset.eventual_fraud) == {"t-h"}


def test_training_without_a_known_fraud_is_an_error_that_says_where():
    without_slice = LABELS.filter(pa.array([t != "slice" for t in LABELS["tx_id"].to_pylist()]))
    with pytest.raises(FraudsimError, match="end of the train period has 2 transactions of which 0"):
        build_dataset(ROWS, without_slice, SPLIT)
