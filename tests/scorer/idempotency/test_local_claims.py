from scorer.idempotency.claims import REPLY_TTL_S, Claim, PriorClaim
from scorer.idempotency.local_claims import LocalClaims


def test_a_repeat_gets_the_decision_and_another_body_is_told_so():
    kept, first = LocalClaims(), Claim.of("a", b"body")
    kept.claim(first, 0.0)
    assert kept.find(Claim.of("a", b"body"), 1.0) == PriorClaim(True, None)
    assert kept.stored_reply("a", 1.0) is None
    kept.store(first, b"decision", 1.0)
    assert kept.find(Claim.of("a", b" body\n"), 2.0) == PriorClaim(True, b"decision")
    assert kept.find(Claim.of("a", b"other"), 2.0) == PriorClaim(False, b"decision")
    assert kept.find(Claim.of("b", b"body"), 2.0) is None
    assert kept.stored_reply("a", 2.0) == b"decision"


def test_it_is_forgotten_after_as_long_as_redis_would_keep_it():
    kept, claim = LocalClaims(), Claim.of("a", b"body")
    kept.store(claim, b"decision", 0.0)
    assert kept.stored_reply("a", REPLY_TTL_S - 1.0) == b"decision"
    assert kept.stored_reply("a", REPLY_TTL_S + 1.0) is None
    assert kept.find(claim, REPLY_TTL_S + 1.0) is None


def test_giving_up_frees_ones_own_claim_and_no_decision():
    kept, claim = LocalClaims(), Claim.of("a", b"body")
    kept.claim(claim, 0.0)
    kept.release(Claim.of("a", b"body"))
    assert kept.holds(claim)
    kept.release(claim)
    assert kept.find(claim, 0.0) is None
    kept.store(claim, b"decision", 0.0)
    kept.release(claim)
    assert kept.stored_reply("a", 0.0) == b"decision"


def test_it_is_bounded_and_the_oldest_go_first():
    kept = LocalClaims(max_bytes=6_500)
    for n in range(1_000):
        kept.store(Claim.of(f"t{n}", b"body"), b"decision", 0.0)
        kept.store(Claim.of(f"t{n}", b"body"), b"d", 0.0)
    assert len(kept) == 10
    assert kept.stored_reply("t999", 0.0)
    assert kept.stored_reply("t989", 0.0) is None
