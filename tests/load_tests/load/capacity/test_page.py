"""The page of a capacity."""

import pytest

from load_tests.load.capacity.page import capacity_page

STEPS = [
    {
        "rate": rate,
        "verdict": word,
        "why": "<p99>",
        "from_above": above,
        "p50_ms": 5.0,
        "p99_ms": p99,
        "costs": {},
    }
    for rate, word, above, p99 in (
        (100.0, "met", False, 20.0),
        (200.0, "missed", False, None),
        (150.0, "not measured", True, 30.0),
    )
]
RESULT = {
    "rate": 140.0, "low": 120.0, "high": 170.0, "why": "half",
    "objectives": {"p99_ms": 50.0, "errors": 0.001},
    "steps": STEPS, "conditions": {"target": "http://t", "restarts": "none", "environment": {"command": "c"}},
}  # fmt: skip


CHANGES = [{}, {"rate": None, "low": None, "high": None}, {"steps": STEPS[2:], "rate": None}]


@pytest.mark.parametrize("changes", CHANGES)
def test_a_page_shows_steps_and_says_what_was_asked(changes):
    page = capacity_page({**RESULT, **changes})
    assert "p99 within 50 ms, errors within 0.100%" in page
    assert "&lt;p99&gt;" in page
    assert ("Capacity: 140 a second" in page) == (not changes)
    assert page.count("<tr>") == 1 + len({**RESULT, **changes}["steps"])
