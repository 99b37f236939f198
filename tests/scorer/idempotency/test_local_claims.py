"""Claims and replies in the memory of one process."""

from scorer.idempotency.claims import REPLY_TTL_S, Claim, PriorClaim
from scorer.idempotency.local_claims import LocalClaims


def test_a_repeat_gets_the_decision_and_another_body_a_conflict():
    local_claims, first = LocalClaims(), Claim.of("a", b"body")
    local_claims.claim(first, 0.0)
    assert local_claims.find(Claim.of("a", b"body"), 1.0) == PriorClaim(True, None)
    assert local_claims.stored_reply("a", 1.0) is None
    local_claims.store(first, b"decision", 1.0)
    assert local_claims.find(Claim.of("a", b" body\n"), 2.0) == PriorClaim(True, b"decision")
    assert local_claims.find(Claim.of("a", b"other"), 2.0) == PriorClaim(False, b"decision")
    assert local_claims.find(Claim.of("b", b"body"), 2.0) is None
    assert local_claims.stored_reply("a", 2.0) == b"decision"


def test_it_is_forgotten_after_as_long_as_redis_would_keep_it():
    local_claims, claim = LocalClaims(), Claim.of("a", b"body")
    local_claims.store(claim, b"decision", 0.0)
    assert local_claims.stored_reply("a", REPLY_TTL_S - 1.0) == b"decision"
    assert local_claims.stored_reply("a", REPLY_TTL_S + 1.0) is None
    assert local_claims.find(claim, REPLY_TTL_S + 1.0) is None


def test_giving_up_frees_ones_own_claim_and_no_decision():
    local_claims, claim = LocalClaims(), Claim.of("a", b"body")
    local_claims.claim(claim, 0.0)
    local_claims.release(Claim.of("a", b"body"))
    assert local_claims.holds(claim)
    local_claims.release(claim)
    assert local_claims.find(claim, 0.0) is None
    local_claims.store(claim, b"decision", 0.0)
    local_claims.release(claim)
    assert local_claims.stored_reply("a", 0.0) == b"decision"


def test_it_is_bounded_and_the_oldest_go_first():
    local_claims = LocalClaims(max_bytes=6_500)
    for n in range(1_000):
        local_claims.store(Claim.of(f"t{n}", b"body"), b"decision", 0.0)
        local_claims.store(Claim.of(f"t{n}", b"body"), b"d", 0.0)
    assert len(local_claims) == 10
    assert local_claims.stored_reply("t999", 0.0)
    assert local_claims.stored_reply("t989", 0.0) is None
