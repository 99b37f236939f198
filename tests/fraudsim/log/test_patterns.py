"""Texts of events: what Python accepts is what an ECMA validator accepts by the committed schemas."""

import json
import re

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fraudsim.log.events import decode_transaction
from fraudsim.log.schemas import FOLDER
from model.registry.aliases import Version
from producers.scenario.schema import Duration, Outage
from testing.samples.log import T0

VALID = {"tx_id": "t1", "card_id": "c1", "ts": T0, "amount_cents": 1}
SCHEMA = json.loads((FOLDER / "transaction.schema.json").read_text())["$defs"]["Transaction"]["properties"]
TEXTS = {
    name: rule for name, rule in SCHEMA.items() for rule in rule.get("anyOf", [rule]) if "pattern" in rule
}
READ_ALIKE = re.compile(r"\^\[[!-~A-Z-]+\](\+|\{\d\})\$\(\?!\\n\)")
"""Patterns of one class and a number: without other escapes, ECMA and Python differ in nothing but `$`."""


def matches_in_ecma(pattern, text):
    """As `new RegExp(pattern, "u").test(text)`: without the flag m, `$` is only the end of the text."""
    assert READ_ALIKE.fullmatch(pattern)
    return re.search(pattern.replace("$", r"\Z"), text) is not None


def valid_by_schema(name, text):
    rule = next(rule for rule in SCHEMA[name].get("anyOf", [SCHEMA[name]]) if rule.get("type") == "string")
    length = rule.get("minLength", 0) <= len(text) <= rule.get("maxLength", len(text))
    return length and matches_in_ecma(rule["pattern"], text)


def accepted(name, text):
    try:
        return getattr(decode_transaction(msgspec.json.encode({**VALID, name: text})), name) == text
    except msgspec.ValidationError:
        return False


def test_the_schema_says_how_ids_currency_and_country_look():
    assert {"tx_id", "card_id", "merchant_id", "device_id", "currency", "country"} == TEXTS.keys()


@given(
    st.sampled_from(sorted(TEXTS)),
    st.text(st.sampled_from("AZaz19!~ é²\n\r\u2028\x00\x7f"), max_size=66),
)
def test_python_and_an_ecma_validator_accept_the_same_texts(name, text):
    assert accepted(name, text) == valid_by_schema(name, text)


@pytest.mark.parametrize("name", sorted(TEXTS))
@pytest.mark.parametrize("end", ["\n", "\r", "\r\n", "\u2028", "\x00"])
def test_a_text_does_not_end_in_a_line_feed(name, end):
    text = {"currency": "EUR", "country": "DE"}.get(name, "c1")
    assert accepted(name, text)
    assert not accepted(name, text + end)
    assert not valid_by_schema(name, text + end)


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        (Duration, "1.5h", ["1h\n", "\u0661h", "h", "1hh", "1,5h"]),
        (Version, "0123456789abcdef", ["0123456789abcdef\n", "0123456789abcde"]),
    ],
)
def test_other_texts_are_stated_in_the_same_way(kind, good, bad):
    assert msgspec.convert(good, kind) == good
    for text in bad:
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert(text, kind)


def test_a_merchant_of_a_scenario_is_an_id():
    fields = {"event": "outage", "from": "1h", "until": "2h"}
    assert msgspec.convert({**fields, "merchant": "m1"}, Outage).merchant == "m1"
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({**fields, "merchant": "m1\n"}, Outage)
