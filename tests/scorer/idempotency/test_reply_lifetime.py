"""How long replies are kept: ten minutes, less where they would take more bytes than they may."""

from hypothesis import given, settings
from hypothesis import strategies as st

from scorer.idempotency.claims import REPLY_TTL_S
from scorer.idempotency.reply_lifetime import OVERHEAD_BYTES, ReplyLifetime

STEPS = st.lists(
    st.tuples(st.sampled_from([0.0, 0.01, 0.4, 1.0, 7.3, 700.0]), st.integers(1, 5_000), st.integers(1, 40)),
    max_size=60,
)


@settings(deadline=None, max_examples=40)
@given(STEPS, st.integers(20_000, 400_000))
def test_what_is_kept_is_within_the_budget_and_what_came_in_one_second(steps, max_bytes):
    lifetime, now_s, stored = ReplyLifetime(max_bytes), 1_000.5, []
    for passed_s, size, times in steps:
        now_s += passed_s
        for _ in range(times):
            ttl_s = lifetime.take(size, now_s)
            assert 1 <= ttl_s <= REPLY_TTL_S
            stored.append((now_s, now_s + ttl_s, size + OVERHEAD_BYTES))
        live = sum(size for _, until_s, size in stored if until_s > now_s)
        assert live <= lifetime.kept_bytes(now_s)
        shortest = sum(size for at_s, _, size in stored if at_s > now_s - 3)
        assert live <= max_bytes + shortest


def test_below_half_the_budget_a_reply_is_kept_for_ten_minutes():
    lifetime = ReplyLifetime(600 * 1_000 * 2 + 10**6)
    for second in range(3_000):
        assert lifetime.take(1_000 - OVERHEAD_BYTES, float(second)) == REPLY_TTL_S


def test_under_a_lasting_load_the_budget_is_used_and_kept():
    lifetime, rate = ReplyLifetime(1_000_000), 10_000  # a tenth of what ten minutes would take
    for second in range(2_000):
        ttl_s = lifetime.take(rate - OVERHEAD_BYTES, float(second))
    assert 500_000 < lifetime.kept_bytes(2_000.0) <= 1_000_000
    assert ttl_s >= 40


def test_after_the_load_replies_live_long_again():
    lifetime = ReplyLifetime(100_000)
    for _ in range(1_000):
        lifetime.take(800, 0.0)
    assert lifetime.take(800, 0.5) == 1
    assert lifetime.take(800, 2 * REPLY_TTL_S) == REPLY_TTL_S
