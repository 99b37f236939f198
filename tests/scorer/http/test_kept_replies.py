from scorer.http.claims import REPEAT_S, Claim, Earlier
from scorer.http.kept_replies import KeptReplies


def test_a_repeat_gets_the_decision_and_another_body_is_told_so():
    kept, first = KeptReplies(), Claim.of("a", b"body")
    kept.claim(first, 0.0)
    assert kept.find(Claim.of("a", b"body"), 1.0) == Earlier(True, None)
    assert kept.stored("a", 1.0) is None
    kept.settle(first, b"decision", 1.0)
    assert kept.find(Claim.of("a", b" body\n"), 2.0) == Earlier(True, b"decision")
    assert kept.find(Claim.of("a", b"other"), 2.0) == Earlier(False, b"decision")
    assert kept.find(Claim.of("b", b"body"), 2.0) is None
    assert kept.stored("a", 2.0) == b"decision"


def test_it_is_forgotten_after_as_long_as_redis_would_keep_it():
    kept, claim = KeptReplies(), Claim.of("a", b"body")
    kept.settle(claim, b"decision", 0.0)
    assert kept.stored("a", REPEAT_S - 1.0) == b"decision"
    assert kept.stored("a", REPEAT_S + 1.0) is None
    assert kept.find(claim, REPEAT_S + 1.0) is None


def test_giving_up_frees_ones_own_claim_and_no_decision():
    kept, claim = KeptReplies(), Claim.of("a", b"body")
    kept.claim(claim, 0.0)
    kept.give_up(Claim.of("a", b"body"))
    assert kept.holds(claim)
    kept.give_up(claim)
    assert kept.find(claim, 0.0) is None
    kept.settle(claim, b"decision", 0.0)
    kept.give_up(claim)
    assert kept.stored("a", 0.0) == b"decision"


def test_it_is_bounded_and_the_oldest_go_first():
    kept = KeptReplies(most_bytes=6_500)
    for n in range(1_000):
        kept.settle(Claim.of(f"t{n}", b"body"), b"decision", 0.0)
        kept.settle(Claim.of(f"t{n}", b"body"), b"d", 0.0)
    assert len(kept) == 10
    assert kept.stored("t999", 0.0)
    assert kept.stored("t989", 0.0) is None
