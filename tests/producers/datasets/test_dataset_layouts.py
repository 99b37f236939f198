"""How the rows of each public dataset become events, to the cent and the millisecond."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from fraudsim.errors import FraudsimError
from fraudsim.log.events import Transaction, Truth
from producers.datasets.registry import read_dataset, replay_source
from testing.samples.published_files import IDENTITY_HEADER, IDENTITY_ROW, published


def events(path: Path) -> tuple[list[Transaction], list[Truth]]:
    stream = [item.event for item in replay_source(path, 0).items()]
    return [e for e in stream if isinstance(e, Transaction)], [e for e in stream if isinstance(e, Truth)]


def read(folder: Path, layout: str, *rows: str) -> tuple[list[Transaction], list[Truth]]:
    file = published(layout)
    return events(file.write(folder, [file.header, *rows]))


def ms(*moment: Any) -> int:
    return int(datetime(*moment, tzinfo=UTC).timestamp() * 1000)


def test_sparkov(tmp_path: Path) -> None:
    first = (
        '0,2019-01-01 00:00:18,2703186189652095,"fraud_Rippin, Kub and Mann",misc_net,4.97,Jennifer,Banks,F,'
        '561 Perry Cove,Moravian Falls,NC,28654,36.0788,-81.1781,3495,"Psychologist, counselling",1988-03-09,'
        "0b242abb623afc578575680df30655b9,1325376018,36.011293,-82.048315,0"
    )
    second = (
        "1,2019-01-01 00:00:44,630423337322,fraud_Heller,grocery_pos,107.23,Stephanie,Gill,F,43039 Riley,"
        "Orient,WA,99160,48.8878,-118.2105,149,Special educational needs teacher,1978-06-21,"
        "1f76529f8574734946361c461b024d99,1325376044,49.159047,-118.186462,1"
    )
    third = second.replace("grocery_pos", "travel").replace("1f76", "2f76").replace(",1", ",1", 1)
    transactions, truths = read(tmp_path, "sparkov", first, second, third)
    assert transactions[0] == Transaction(
        tx_id="0b242abb623afc578575680df30655b9",
        ts=ms(2019, 1, 1, 0, 0, 18),
        card_id="2703186189652095",
        merchant_id="fraud_Rippin,_Kub_and_Mann",
        amount_cents=497,
        channel="ecommerce",
        lat=36.011293,
        lon=-82.048315,
    )
    assert [t.channel for t in transactions] == ["ecommerce", "pos", None]
    assert transactions[1].amount_cents == 10723
    assert truths[0] == Truth(tx_id="1f76529f8574734946361c461b024d99", is_fraud=True, typology="sparkov")


def test_sparkov_with_a_named_first_column(tmp_path: Path) -> None:
    file = published("sparkov")
    plain = read_dataset(file.write(tmp_path)).fingerprint
    named = file.write(tmp_path, ["index" + file.header, *file.lines()[1:]])
    assert read_dataset(named).fingerprint == plain


def test_tabformer(tmp_path: Path) -> None:
    transactions, truths = read(
        tmp_path,
        "tabformer",
        "0,0,2002,9,1,06:21,$134.09,Swipe Transaction,3527213246127876953,La Verne,CA,91750.0,5300,,No",
        "0,1,2002,9,1,06:42,$38.48,Online Transaction,-727612092139916043,ONLINE,,,5411,Bad PIN,Yes",
        "0,1,2002,9,1,06:43,$-38.48,Online Transaction,-727612092139916043,ONLINE,,,5411,,No",
        '1,0,2016,2,29,23:59,$1200.05,Chip Transaction,5,Rome,Italy,,5812,"Bad PIN,Insufficient Balance",No',
        "1,0,2020,2,28,23:58,$0.00,Chip Transaction,5,Port,Atlantis,,5812,,No",
    )
    assert transactions[0] == Transaction(
        tx_id="2",
        ts=ms(2002, 9, 1, 6, 21),
        card_id="0-0",
        merchant_id="3527213246127876953",
        amount_cents=13409,
        currency="USD",
        mcc=5300,
        channel="pos",
        country="US",
    )
    assert [t.tx_id for t in transactions] == ["2", "3", "5", "6"]
    assert [t.card_id for t in transactions] == ["0-0", "0-1", "1-0", "1-0"]
    assert [t.country for t in transactions] == ["US", None, "IT", None]
    assert [t.channel for t in transactions] == ["pos", "ecommerce", "pos", "pos"]
    assert [t.amount_cents for t in transactions] == [13409, 3848, 120005, 0]
    assert transactions[2].ts == ms(2016, 2, 29, 23, 59)
    assert transactions[1].merchant_id == "-727612092139916043"
    assert truths[0].typology == "tabformer"


def test_tabformer_has_no_thirtieth_of_february(tmp_path: Path) -> None:
    row = "0,0,2002,2,30,06:21,$134.09,Swipe Transaction,3,La Verne,CA,91750.0,5300,,No"
    with pytest.raises(FraudsimError, match="line 2: Day='30' is not a day of its month"):
        read(tmp_path, "tabformer", row)


def test_paysim(tmp_path: Path) -> None:
    transactions, truths = read(
        tmp_path,
        "paysim",
        "1,PAYMENT,9839.64,C1231006815,170136.0,160296.36,M1979787155,0.0,0.0,0,0",
        "1,TRANSFER,181.0,C1305486145,181.0,0.0,C553264065,0.0,0.0,1,0",
        "1,CASH_OUT,181.0,C840083671,181.0,0.0,C38997010,21182.0,0.0,1,0",
        "743,CASH_OUT,10000000.0,C1,10000000.0,0.0,C2,0.0,0.0,1,1",
        "743,TRANSFER,92445516.64,C1,0.0,0.0,C2,0.0,0.0,0,0",
    )
    hour = 3_600_000
    start = ms(2016, 1, 1)
    assert transactions[0] == Transaction(
        tx_id="2", ts=start, card_id="C1231006815", merchant_id="M1979787155", amount_cents=983964
    )
    assert [t.ts - start for t in transactions] == [0, hour // 3, 2 * hour // 3, 742 * hour]
    assert [t.amount_cents for t in transactions] == [983964, 18100, 18100, 1_000_000_000]
    assert [t.typology for t in truths] == ["transfer", "cash_out", "cash_out"]


def test_cardsim(tmp_path: Path) -> None:
    transactions, truths = read(
        tmp_path,
        "cardsim",
        "S42P500D180,0,2023-01-01,45296,12,2023-01-01 12:34:56,3,17,1,0,12.041595,23.458723651299998,0",
        "S42P500D180,0,2023-01-01,4529,1,2023-01-01 01:15:29,3,17,0,1,12.041595,0.0049999999999999999,1",
        "S42P500D180,1,2023-01-02,0,0,2023-01-02 00:00:00,4,0,0,1,0.0,1.005,0",
    )
    assert [t.tx_id for t in transactions] == ["3", "2", "4"]
    assert transactions[1] == Transaction(
        tx_id="2",
        ts=ms(2023, 1, 1, 12, 34, 56),
        card_id="3-credit",
        merchant_id="17",
        amount_cents=2346,
        channel="pos",
    )
    assert [t.card_id for t in transactions] == ["3-debit", "3-credit", "4-debit"]
    assert [t.amount_cents for t in transactions] == [0, 2346, 101]
    assert truths[0] == Truth(tx_id="3", is_fraud=True, typology="cardsim")


@pytest.mark.parametrize(
    ("layout", "column", "bad", "why"),
    [
        ("sparkov", "merch_lat", "91.0", "is not between -90 and 90"),
        ("sparkov", "merch_long", "north", "is not a number"),
        ("sparkov", "merch_lat", "nan", "is not between -90 and 90"),
        ("sparkov", "cc_num", "4 4", "is not an id of 1 to 64 printable characters"),
        ("sparkov", "merchant", "", "is missing"),
        ("sparkov", "merchant", "m" * 65, "is not an id of 1 to 64 printable characters"),
        ("sparkov", "trans_date_trans_time", "1960-01-01 00:00:00", "is not between 1970 and 9999"),
        ("tabformer", "Day", "32", "is not between 1 and 31"),
        ("tabformer", "Month", "13", "is not between 1 and 12"),
        ("tabformer", "Year", "two", "is not a whole number"),
        ("tabformer", "Amount", "134.09", "does not start with [$]"),
        ("tabformer", "MCC", "10000", "is not between 0 and 9999"),
        (
            "tabformer",
            "Use Chip",
            "Guess",
            "is none of Swipe Transaction, Chip Transaction, Online T",
        ),
        ("tabformer", "User", "", "is missing"),
        ("paysim", "type", "GIFT", "is none of CASH_IN, CASH_OUT, DEBIT, PAYM"),
    ],
)
def test_values_that_no_event_could_have(
    tmp_path: Path, layout: str, column: str, bad: str, why: str
) -> None:
    file = published(layout)
    with pytest.raises(FraudsimError, match=f"line 5: {column}='{bad}' {why}"):
        read_dataset(file.write(tmp_path, file.replaced(5, column, bad)))


IEEE_FIRST = "2987000,0,86400,68.5,W,13926,,150.0,discover,142.0,credit,315.0,87.0,19.0,,,"
IEEE_DEVICE = (
    "2987004,1,86506,37.098,H,4497,514.0,150.0,american express,102.0,debit or credit,,,,,gmail.com,"
)


def ieee_rows() -> list[str]:
    commas = published("ieee-cis").header.count(",")
    return [row + "," * (commas - row.count(",")) for row in (IEEE_FIRST, IEEE_DEVICE)]


def test_ieee_cis_without_its_identity_file(tmp_path: Path) -> None:
    transactions, truths = read(tmp_path, "ieee-cis", *ieee_rows())
    assert transactions == [
        Transaction(
            tx_id="2987000",
            ts=ms(2017, 12, 2),
            card_id="13926--150-discover-142-credit-315",
            amount_cents=6850,
        ),
        Transaction(
            tx_id="2987004",
            ts=ms(2017, 12, 2, 0, 1, 46),
            card_id="4497-514-150-american_express-102-debit_or_credit-",
            amount_cents=3710,
        ),
    ]
    assert truths[0] == Truth(tx_id="2987004", is_fraud=True, typology="ieee-cis")


def test_ieee_cis_takes_devices_from_the_identity_file_beside_it(tmp_path: Path) -> None:
    without = read(tmp_path, "ieee-cis", *ieee_rows())[0]
    identity = tmp_path / "train_identity.csv"
    nameless = IDENTITY_ROW.replace("2987004", "2987000").replace("SAMSUNG SM-G892A Build/NRD90M", "")
    identity.write_text("\n".join([IDENTITY_HEADER, nameless, IDENTITY_ROW]) + "\n")
    with_devices = read(tmp_path, "ieee-cis", *ieee_rows())[0]
    assert with_devices[0] == without[0]
    assert with_devices[1].device_id is not None
    assert len(with_devices[1].device_id) == 16
    identity.write_text("\n".join([IDENTITY_HEADER, IDENTITY_ROW.replace("2220x1080", "1334x750")]) + "\n")
    assert read(tmp_path, "ieee-cis", *ieee_rows())[0][1].device_id not in (None, with_devices[1].device_id)


def test_ieee_cis_names_what_is_wrong_in_the_identity_file(tmp_path: Path) -> None:
    identity = tmp_path / "train_identity.csv"
    identity.write_text("\n".join([IDENTITY_HEADER, IDENTITY_ROW, IDENTITY_ROW]) + "\n")
    with pytest.raises(FraudsimError, match=r"train_identity\.csv: TransactionID='2987004' occurs twice"):
        read(tmp_path, "ieee-cis", *ieee_rows())
    identity.write_text("\n".join([IDENTITY_HEADER, IDENTITY_ROW[:40]]) + "\n")
    with pytest.raises(
        FraudsimError, match=r"train_identity\.csv: line 2: .* values where the header has 41"
    ):
        read(tmp_path, "ieee-cis", *ieee_rows())
    identity.write_text(IDENTITY_HEADER.replace("DeviceInfo", "Device") + "\n")
    with pytest.raises(FraudsimError, match=r"train_identity\.csv: column DeviceInfo is missing"):
        read(tmp_path, "ieee-cis", *ieee_rows())


def test_ieee_cis_needs_the_first_part_of_a_card(tmp_path: Path) -> None:
    with pytest.raises(FraudsimError, match="line 2: card1='' is missing"):
        read(tmp_path, "ieee-cis", ieee_rows()[0].replace("13926", ""))
