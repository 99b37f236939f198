"""What the transaction alone says, by name; and the vector's way to JSON and back."""

import math

import numpy as np
import pyarrow as pa
import pytest

from fraudsim.log.events import Transaction
from stream_features.catalogue.features import HOUR, NAMES
from stream_features.encode import id_hash
from stream_features.offline.bulk import bulk_features
from stream_features.vector import as_list, as_vector, keys_of, network, request_features, vector

MONDAY = 1_704_067_200_000  # 2024-01-01
WHOLE = {
    "tx_id": "t", "ts": MONDAY + 36 * HOUR + HOUR // 2, "card_id": "c", "amount_cents": 12_000,
    "merchant_id": "m", "device_id": "d", "ip": "10.1.2.3", "mcc": 5411, "channel": "atm", "country": "DE",
}  # fmt: skip


def by_name(**changes):
    tx = Transaction(**{**WHOLE, **changes})
    return dict(zip(NAMES, request_features(tx), strict=False))


def test_each_request_feature_stands_under_its_name():
    assert by_name() == {
        "amount": 12_000,
        "amount_is_round": 1,
        "hour_of_day": 12.5,
        "day_of_week": 1,
        "channel": 2,
        "mcc": 5411,
        "country_bucket": id_hash("DE") % 64,
        "mcc_country_bucket": id_hash("5411:DE") % 256,
        "merchant_bucket": id_hash("m") % 256,
        "ip_bucket": id_hash("10.1") % 256,
    }
    assert by_name(amount_cents=12_001)["amount_is_round"] == 0


def test_what_is_absent_is_null():
    lacking = by_name(**dict.fromkeys(("mcc", "channel", "country", "merchant_id", "ip")))
    null = {name for name, value in lacking.items() if math.isnan(value)}
    assert null == {
        "channel", "mcc", "country_bucket", "mcc_country_bucket", "merchant_bucket", "ip_bucket",
    }  # fmt: skip
    assert math.isnan(by_name(country=None)["mcc_country_bucket"])
    assert math.isnan(by_name(mcc=None)["mcc_country_bucket"])
    assert by_name(mcc=0)["mcc_country_bucket"] == id_hash("0:DE") % 256


@pytest.mark.parametrize(("ip", "its"), [("10.1.2.3", "10.1"), ("2001:db8::1", "2001:db8::1"), (None, None)])
def test_the_network_of_an_address(ip, its):
    assert network(ip) == its


@pytest.mark.parametrize("lacking", [(), ("mcc",), ("country", "channel"), ("ip", "merchant_id")])
def test_bulk_says_the_same_of_a_single_transaction(lacking):
    fields = {name: value for name, value in WHOLE.items() if name not in lacking}
    one, _ = vector(Transaction(**fields), {}, 0)
    requests = len(request_features(Transaction(**fields)))
    bulk = bulk_features(pa.Table.from_pylist([fields]))[0]
    np.testing.assert_array_equal(one[:requests], bulk[:requests])


def test_keys_come_in_the_order_of_the_catalogue_and_absent_ones_not_at_all():
    assert keys_of(Transaction(**WHOLE)) == [
        ("card", "c"), ("device", "d"), ("merchant", "m"), ("ip", "10.1.2.3"),
    ]  # fmt: skip
    assert keys_of(Transaction(**{**WHOLE, "device_id": None, "ip": None})) == [
        ("card", "c"), ("merchant", "m"),
    ]  # fmt: skip


def test_a_vector_survives_the_way_through_json():
    values, _ = vector(Transaction(**WHOLE), {}, 0)
    np.testing.assert_array_equal(as_vector(as_list(values)), values)
