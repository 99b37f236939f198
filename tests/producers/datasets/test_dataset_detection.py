"""What is not a dataset that can be replayed is refused in one line that says what to do."""

import gzip
import pickle
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fraudsim.errors import FraudsimError
from producers.datasets.csv_block import CsvBlock
from producers.datasets.registry import LAYOUTS, layout_of
from testing.samples.published_files import PUBLISHED, published, write_handbook


def refusal(path: Path) -> str:
    with pytest.raises(FraudsimError) as error:
        layout_of(path)
    message = str(error.value)
    assert "\n" not in message
    assert str(path) in message
    return message


def test_an_unknown_header_gets_the_list_of_known_layouts(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("account,when,how much\n1,2,3\n")
    pq.write_table(pa.table({"tx_id": ["a"]}), tmp_path / "a.parquet")
    for name in ("a.csv", "a.parquet"):
        message = refusal(tmp_path / name)
        assert "has no known layout" in message
        assert all(layout.title in message for layout in LAYOUTS)


def test_a_header_of_two_layouts_is_refused(tmp_path: Path) -> None:
    both = tmp_path / "both.csv"
    both.write_text(f"{published('paysim').header},{published('tabformer').header}\n")
    assert "has columns of tabformer and of paysim; a file must be of one" in refusal(both)


@pytest.mark.parametrize("quote", ["", '"'])
def test_the_card_data_of_ulb_are_for_scoring_only(tmp_path: Path, quote: str) -> None:
    names = ["Time", *(f"V{i}" for i in range(1, 29)), "Amount", "Class"]
    row = ",".join(["0", *["-1.3598071336738"] * 28, "149.62", f"{quote}0{quote}"])
    path = tmp_path / "creditcard.csv"
    path.write_text(",".join(f"{quote}{name}{quote}" for name in names) + f"\n{row}\n")
    assert refusal(path) == (
        f"ulb {path}: has no card and no merchant, so it cannot be replayed; "
        f"`fraudsim score-only {path}` trains on its first day and scores the rest"
    )


class Trap:
    """A pickle that would create a file when it is opened."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self.target,)


def test_pickles_are_not_opened_and_the_way_to_convert_them_is_said(tmp_path: Path) -> None:
    trap = tmp_path / "sprung"
    folder = tmp_path / "data"
    folder.mkdir()
    for name in ("2018-04-01.pkl", "2018-04-02.pkl", "disguised.csv"):
        (folder / name).write_bytes(pickle.dumps(Trap(trap)))
    for path in (folder, folder / "2018-04-01.pkl", folder / "disguised.csv"):
        message = refusal(path)
        assert "a pickle may run any code when opened" in message
        assert "to_parquet('handbook.parquet')" in message
    assert not trap.exists()


def test_folders_packed_files_and_files_that_are_not_there_are_named(tmp_path: Path) -> None:
    assert "is a folder; name a file in it" in refusal(tmp_path)
    packed = tmp_path / "fraudTrain.csv.gz"
    packed.write_bytes(gzip.compress(b"step,type"))
    assert "is packed; unpack it" in refusal(packed)
    assert "No such file" in refusal(tmp_path / "none.csv")
    (tmp_path / "empty.csv").write_text("")
    assert "the file is empty" in refusal(tmp_path / "empty.csv")
    (tmp_path / "binary.csv").write_bytes(b"\x00\x01\x02\xff" * 9)
    assert "is neither CSV nor Parquet" in refusal(tmp_path / "binary.csv")
    (tmp_path / "cut.parquet").write_bytes(write_handbook(tmp_path / "a.parquet").read_bytes()[:900])
    assert "cut.parquet" in refusal(tmp_path / "cut.parquet")


@pytest.mark.parametrize("one", PUBLISHED, ids=lambda one: one.layout)
def test_a_layout_in_another_form_of_file_is_refused_with_the_right_one(tmp_path: Path, one: object) -> None:
    names = [name or "index" for name in one.header.split(",")]  # type: ignore[attr-defined]
    path = tmp_path / "other.parquet"
    pq.write_table(pa.table({name: ["1"] for name in names}), path)
    assert "is Parquet; this layout is read from CSV" in refusal(path)


def test_the_handbook_as_csv_is_refused_with_the_right_form(tmp_path: Path) -> None:
    path = tmp_path / "book.csv"
    path.write_text(
        "TRANSACTION_ID,TX_DATETIME,CUSTOMER_ID,TERMINAL_ID,TX_AMOUNT,TX_FRAUD,TX_FRAUD_SCENARIO\n"
    )
    assert refusal(path).startswith(f"handbook {path}: is CSV; this layout is read from Parquet")


@pytest.mark.parametrize(
    ("text", "cents"),
    [
        ("0", 0),
        ("0.005", 1),
        ("0.0049999999999999999999", 0),
        ("1.005", 101),
        ("2.675", 268),
        ("37.098", 3710),
        ("1e-05", 0),
        ("1.5E+2", 15000),
        ("-38.48", -3848),
        ("92445516.64", 9_244_551_664),
        ("4503599627370.495", 450_359_962_737_050),
        ("999999999999999.99", 99_999_999_999_999_999),
    ],
)
def test_money_is_decimal(tmp_path: Path, text: str, cents: int) -> None:
    row = pa.record_batch({"amount": pa.array([text])})
    assert CsvBlock("any", tmp_path, 2, row).cents("amount").tolist() == [cents]


@pytest.mark.parametrize(
    "text", ["", "nan", "inf", "-inf", "1e400", "1.2.3", "1,234.00", " 1", "0x10", "1_000"]
)
def test_what_is_no_money_is_named(tmp_path: Path, text: str) -> None:
    row = pa.record_batch({"amount": pa.array([text])})
    with pytest.raises(FraudsimError, match="line 2: amount="):
        CsvBlock("any", tmp_path, 2, row).cents("amount")
