"""Durations as people write them."""

import pytest

from fraudsim.durations import duration_ms, duration_text
from fraudsim.errors import FraudsimError


@pytest.mark.parametrize(("text", "ms"), [
    ("10s", 10_000), ("5m", 300_000), ("1.5h", 5_400_000), ("1d", 86_400_000), ("0s", 0),
])  # fmt: skip
def test_a_number_and_a_unit(text, ms):
    assert duration_ms(text) == ms
    assert duration_ms(duration_text(ms)) == ms


@pytest.mark.parametrize("text", ["", "5", "m", "-5m", "5 m", "5m\n", "5w", "1e3s", "٣m"])
def test_anything_else_is_refused(text):
    with pytest.raises(FraudsimError, match="is no duration: write a number and s, m, h or d"):
        duration_ms(text)
