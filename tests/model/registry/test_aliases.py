"""The roles of models: how they may change, and which cards a challenger decides for."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fraudsim.errors import FraudsimError
from fraudsim.log.partitioning import partition_of
from model.registry.aliases import (
    BUCKETS,
    Aliases,
    Challenger,
    add_challenger,
    add_shadow,
    bucket_of,
    check_aliases,
    promote,
    remove,
    roll_back,
)

A, B, C, D = (letter * 16 for letter in "abcd")
FIRST = Aliases(champion=A)


def test_a_promotion_keeps_the_one_before_and_a_rollback_brings_it_back_and_forth():
    later = promote(FIRST, B)
    assert (later.champion, later.previous) == (B, A)
    assert promote(later, B) == later
    back = roll_back(later)
    assert (back.champion, back.previous) == (A, B)
    assert roll_back(back) == later
    with pytest.raises(FraudsimError, match=r"champion=a{16} has none before it to go back to"):
        roll_back(FIRST)


def test_who_is_promoted_has_no_other_role_left():
    busy = add_challenger(add_shadow(FIRST, B), C, 0.1)
    assert promote(busy, B).shadows == []
    assert promote(busy, C).challengers == []
    assert promote(busy, C).shadows == [B]


def test_a_version_has_one_role():
    busy = add_challenger(add_shadow(FIRST, B), C, 0.1)
    for change in (lambda: add_shadow(busy, C), lambda: add_challenger(busy, B, 0.1)):
        with pytest.raises(FraudsimError, match=r"stop it first"):
            change()
    for change in (lambda: add_shadow(busy, A), lambda: add_challenger(busy, A, 0.1)):
        with pytest.raises(FraudsimError, match=r"a{16} is champion: promote another first"):
            change()
    assert remove(remove(busy, B), C) == FIRST
    with pytest.raises(FraudsimError, match=r"d{16} is nothing: only a challenger or a shadow"):
        remove(busy, D)
    with pytest.raises(FraudsimError, match=r"a{16} is champion: only a challenger"):
        remove(busy, A)


def test_a_previous_champion_may_look_on():
    later = add_shadow(promote(FIRST, B), A)
    assert later.versions == [B, A]
    assert roll_back(later) == Aliases(champion=A, previous=B)


def test_a_challenger_keeps_its_cards_when_others_come_go_and_grow():
    three = add_challenger(add_challenger(add_challenger(FIRST, B, 0.1), C, 0.2), D, 0.3)
    assert [(c.first, c.end) for c in three.challengers] == [(0, 1000), (1000, 3000), (3000, 6000)]
    without = remove(three, B)
    assert without.challengers == three.challengers[1:]
    assert add_challenger(without, B, 0.05).challengers[-1] == Challenger(version=B, first=0, end=500)
    assert add_challenger(three, D, 0.5).challengers[-1] == Challenger(version=D, first=3000, end=8000)
    moved = add_challenger(three, B, 0.3).challengers[-1]
    assert (moved.first, moved.share) == (6000, 0.3)


@pytest.mark.parametrize("share", [0, 0.00001, 1, 1.5, -0.1])
def test_a_share_leaves_cards_to_both(share):
    with pytest.raises(FraudsimError, match=rf"--share {share:g} is not between 0.0001 and 0.9999"):
        add_challenger(FIRST, B, share)


def test_cards_that_are_another_s_are_not_given_and_neither_is_another_salt():
    two = add_challenger(add_challenger(FIRST, B, 0.4), C, 0.4)
    with pytest.raises(
        FraudsimError, match=r"--share 0.3: so many cards in a row are not free \(b{16} 0.4, c"
    ):
        add_challenger(two, D, 0.3)
    with pytest.raises(FraudsimError, match=r"--salt 'x' would give b{16} other cards too"):
        add_challenger(two, C, 0.1, "x")
    assert add_challenger(add_challenger(FIRST, B, 0.4), B, 0.4, "x").salt == "x"


@given(
    st.lists(
        st.tuples(st.sampled_from("psctr"), st.sampled_from([A, B, C, D]), st.floats(0.01, 0.6)), max_size=12
    )
)
def test_whatever_is_asked_for_roles_never_contradict_each_other(requests):
    aliases = FIRST
    changes = {
        "p": lambda v, _: promote(aliases, v), "s": lambda v, _: add_shadow(aliases, v),
        "c": lambda v, share: add_challenger(aliases, v, share), "t": lambda v, _: remove(aliases, v),
        "r": lambda *_: roll_back(aliases),
    }  # fmt: skip
    for request, version, share in requests:
        try:
            aliases = changes[request](version, share)
        except FraudsimError as error:
            assert "\n" not in str(error)  # noqa: PT017
        check_aliases(aliases, "here")
        assert sum(challenger.share for challenger in aliases.challengers) < 1


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"format_version": 2}, "format_version=2, this program has 1"),
        ({"shadows": [A]}, "shadows has a{16}, which is in champion already"),
        ({"shadows": [B, B]}, "shadows has b{16}, which is in shadows already"),
        ({"challengers": [(B, 0, 5), (C, 4, 9)]}, "challenger c{16} has first=4, end=9: .* below 5"),
        ({"challengers": [(B, 5, 5)]}, "challenger b{16} has first=5, end=5: empty"),
    ],
)
def test_aliases_that_contradict_themselves_are_told_by_field(wrong, message):
    if "challengers" in wrong:
        wrong = {"challengers": [Challenger(version=v, first=f, end=e) for v, f, e in wrong["challengers"]]}
    with pytest.raises(FraudsimError, match=rf"models here: {message}"):
        check_aliases(Aliases(champion=A, **wrong), "here")


def test_cards_are_split_evenly_whatever_their_partition_and_anew_by_another_salt():
    cards = [f"c{n:06}" for n in range(20_000)]
    sampled = [card for card in cards if bucket_of(card, "s") < BUCKETS // 10]
    assert 1_850 < len(sampled) < 2_150
    by_partition = Counter(partition_of(card, 4) for card in sampled)
    assert all(400 < count < 600 for count in by_partition.values())
    again = sum(bucket_of(card, "other") < BUCKETS // 10 for card in sampled)
    assert 140 < again < 260
