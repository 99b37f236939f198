"""A slot's state is refused where it belongs to something else, in one line with both values."""

import msgspec
import pytest

from fraudsim.errors import FraudsimError
from stream_features.catalogue.features import HASH
from stream_features.store.watermark import Watermark, check_watermark, decode_watermark, encode_watermark
from testing.samples.log import make_segment

SEGMENT = make_segment(history="somewhere/history", history_fingerprint="print")
GOOD = Watermark(
    log_id="log", generation="g", catalogue=HASH, history="print", slots=8, offsets=(-1,) * 8
)  # fmt: skip


def refusal(watermark, sources=8, slots=8):
    with pytest.raises(FraudsimError) as refused:
        check_watermark(watermark, 3, SEGMENT, sources, slots)
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_state_of_this_log_these_topics_and_this_number_of_slots_is_taken():
    check_watermark(GOOD, 3, SEGMENT, 8, 8)
    check_watermark(GOOD.advance_to(range(8)), 3, SEGMENT, 8, 8)


@pytest.mark.parametrize(("primed", "set_to"), [(8, 16), (16, 8), (8, 1)])
def test_another_number_of_slots_names_the_setting_and_both_values(primed, set_to):
    message = refusal(msgspec.structs.replace(GOOD, slots=primed), slots=set_to)
    assert f"one of {primed} slots, FRAUDSIM_SLOTS is {set_to}" in message
    assert "fraudsim features prime --force" in message


def test_state_that_does_not_say_its_number_of_slots_is_refused():
    fields = msgspec.to_builtins(GOOD)
    del fields["slots"]
    old = decode_watermark(msgspec.json.encode(fields))
    assert "an unknown number of slots" in refusal(old)


def test_another_number_of_partitions_names_the_setting_and_both_values():
    assert "primed for 4 partitions, FRAUDSIM_PARTITIONS is 2" in refusal(GOOD, sources=4)


def test_moving_on_keeps_everything_but_the_watermarks_to_the_byte():
    moved = GOOD.advance_to([5] * 8)
    assert encode_watermark(decode_watermark(encode_watermark(moved))) == encode_watermark(moved)
    assert msgspec.structs.replace(moved, offsets=GOOD.offsets) == GOOD
