"""CSV files in other forms than the published one: line ends, blank first lines, delimiters, merged files."""

from collections.abc import Callable
from pathlib import Path

import pytest

from fraudsim.errors import FraudsimError
from producers.datasets import csv_file
from producers.datasets.registry import layout_of, read_dataset, read_score_only
from testing.samples.published_files import (
    IDENTITY_HEADER,
    IDENTITY_ROW,
    PUBLISHED,
    Published,
    moment,
    published,
    ulb_lines,
    write_ulb,
)

CSV = pytest.mark.parametrize("file", PUBLISHED, ids=lambda file: file.layout)
BOM = b"\xef\xbb\xbf"


def delimited(mark: bytes) -> Callable[[bytes], bytes]:
    return lambda content: content.replace(b",", mark)


def excel(content: bytes) -> bytes:
    return BOM + b"sep=;\r\n" + content.replace(b",", b";").replace(b"\n", b"\r\n")


FORMS: dict[str, tuple[int, Callable[[bytes], bytes]]] = {
    "CR only": (0, lambda content: content.replace(b"\n", b"\r")),
    "CR only, BOM": (0, lambda content: BOM + content.replace(b"\n", b"\r")),
    "CRLF": (0, lambda content: content.replace(b"\n", b"\r\n")),
    "blank first line": (1, lambda content: b"\n" + content),
    "blank first lines, CRLF": (2, lambda content: b"\r\n  \r\n" + content.replace(b"\n", b"\r\n")),
    "blank first line, CR": (1, lambda content: b"\r" + content.replace(b"\n", b"\r")),
    "BOM, blank first line": (1, lambda content: BOM + b"\n" + content),
    "semicolons": (0, delimited(b";")),
    "tabs": (0, delimited(b"\t")),
    "bars": (0, delimited(b"|")),
    "Excel's first line": (1, excel),
}
"""Lines above the header, and the form of a published file's content."""


@CSV
@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_events_and_names_the_right_line(
    tmp_path: Path, file: Published, form: str
) -> None:
    path = file.write(tmp_path)
    plain, content = read_dataset(path), path.read_bytes()
    above, written = FORMS[form]
    path.write_bytes(written(content))
    assert layout_of(path).name == file.layout
    changed = read_dataset(path)
    for name in changed.tables.transactions.drop_columns(["tx_id"]).column_names:
        assert changed.tables.transactions[name].equals(plain.tables.transactions[name]), name
    if above == 0:
        assert changed.fingerprint == plain.fingerprint
    path.write_bytes(written("\n".join(file.replaced(18, file.fraud, "maybe")).encode()))
    with pytest.raises(FraudsimError, match=f"line {18 + above}: {file.fraud.replace('?', '.')}='maybe'"):
        read_dataset(path)
    cut = content.split(b"\n")[:17]
    path.write_bytes(written(b"\n".join([*cut, b"7"])))
    with pytest.raises(FraudsimError, match=f"line {18 + above}: 1 values where the header has"):
        read_dataset(path)


@pytest.mark.parametrize("form", FORMS)
def test_what_is_only_scored_is_read_in_every_form(tmp_path: Path, form: str) -> None:
    path = write_ulb(tmp_path / "creditcard.csv", ulb_lines(200))
    plain = read_score_only(path)
    path.write_bytes(FORMS[form][1](path.read_bytes()))
    assert read_score_only(path).amount_cents.tolist() == plain.amount_cents.tolist()


GENERATOR_HEADER = (
    "ssn|cc_num|first|last|gender|street|city|state|zip|lat|long|city_pop|job|dob|acct_num|profile|trans_num|"
    "trans_date|trans_time|unix_time|category|amt|is_fraud|merchant|merch_lat|merch_long"
)


def generator_row(i: int) -> str:
    """The row of Sparkov's generator for the published row."""
    published_row = published("sparkov").row(i).split(",")
    row = dict(zip(published("sparkov").header.split(","), published_row, strict=True))
    row |= {"trans_date": f"{moment(i):%Y-%m-%d}", "trans_time": f"{moment(i):%H:%M:%S}"}
    row |= {"ssn": "045-74-5650", "acct_num": "355104838454", "profile": "adults_50up_male_rural.json"}
    cells = [row[name] for name in GENERATOR_HEADER.split("|")]
    return "|".join(cells)


def write_generated(path: Path, *changes: tuple[str, str]) -> Path:
    lines = [GENERATOR_HEADER, *(generator_row(i) for i in range(120))]
    for old, new in changes:
        lines[4] = lines[4].replace(old, new)
    path.write_text("\n".join(lines) + "\n")
    return path


def test_the_output_of_sparkovs_generator_gives_the_events_of_the_published_file(tmp_path: Path) -> None:
    path = write_generated(tmp_path / "adults_50up_male_rural_0-99.csv")
    assert layout_of(path).name == "sparkov"
    assert read_dataset(path).fingerprint == read_dataset(published("sparkov").write(tmp_path)).fingerprint


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("|00:03:18|", "||", "trans_time='' is missing"),
        (
            "|00:03:18|",
            "|25:03:18|",
            "trans_time='25:03:18' is not a time like",
        ),
        ("|00:03:18|", "|3|", "trans_time='3' is not a time like 23:59:59"),
        ("|2019-01-01|", "|01/01/2019|", "trans_date='01/01/2019' is not a date like 2019-01-31"),
        ("|2019-01-01|", "|2019-02-30|", "trans_date='2019-02-30' is not a date like 2019-01-31"),
    ],
)
def test_a_bad_time_in_two_columns_is_named(tmp_path: Path, old: str, new: str, reason: str) -> None:
    path = write_generated(tmp_path / "sparkov.csv", (old, new))
    with pytest.raises(FraudsimError, match=f"line 5: ({reason})"):
        read_dataset(path)


def test_a_time_without_a_time_of_day_is_refused(tmp_path: Path) -> None:
    file = published("sparkov")
    path = file.write(tmp_path, file.replaced(5, "trans_date_trans_time", "2019-01-01"))
    with pytest.raises(FraudsimError, match="line 5: trans_date_trans_time='2019-01-01' is not a time like"):
        read_dataset(path)


def merged_rows(rows: int = 120) -> tuple[list[str], list[str]]:
    """IEEE-CIS's transactions, some with a device: as one merged file, and as lines of the identity file."""
    device = IDENTITY_ROW.split(",")[1:]
    header = [published("ieee-cis").header + "," + IDENTITY_HEADER.partition(",")[2]]
    identity = [IDENTITY_HEADER]
    for i in range(rows):
        own = [*device[:-1], f"{device[-1]}-{i % 5}"] if i % 3 == 0 else [""] * len(device)
        header.append(published("ieee-cis").row(i) + "," + ",".join(own))
        if i % 3 == 0:
            identity.append(",".join([str(2987000 + i), *own]))
    return header, identity


def test_the_merged_file_of_ieee_cis_has_the_devices_of_the_two_files(tmp_path: Path) -> None:
    merged, identity = merged_rows()
    (tmp_path / "train_identity.csv").write_text("\n".join(identity) + "\n")
    apart = read_dataset(published("ieee-cis").write(tmp_path))
    path = tmp_path / "train_merged.csv"
    path.write_text("\n".join(merged) + "\n")
    together = read_dataset(path)
    devices = together.tables.transactions["device_id"].to_pylist()
    assert len(set(devices) - {None}) == 5
    assert devices.count(None) == 80
    assert together.fingerprint == apart.fingerprint


def test_a_merged_file_without_a_part_of_the_device_is_refused(tmp_path: Path) -> None:
    merged, _ = merged_rows()
    path = tmp_path / "train_merged.csv"
    path.write_text("\n".join([merged[0].replace("id_31", "browser"), *merged[1:]]) + "\n")
    with pytest.raises(FraudsimError, match="column id_31 is missing"):
        read_dataset(path)


@CSV
@pytest.mark.parametrize("end", [b"\n\n\n", b"\r\n\r\n", b"\r\r"])
def test_blank_lines_at_the_end_say_nothing(
    tmp_path: Path, file: Published, end: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = file.write(tmp_path)
    plain, content = read_dataset(path).fingerprint, path.read_bytes().rstrip(b"\n")
    path.write_bytes(content.replace(b"\n", b"\r\n" if end.startswith(b"\r\n") else end[:1]) + end * 40)
    assert read_dataset(path).fingerprint == plain
    monkeypatch.setattr(csv_file, "BLOCK_BYTES", 2_000)  # blank lines that are a block of their own
    path.write_bytes(content + b"\n" * 5_000)
    assert read_dataset(path).fingerprint == plain


@CSV
@pytest.mark.parametrize("blanks", [1, 5_000])
def test_a_blank_line_before_rows_is_refused(
    tmp_path: Path, file: Published, blanks: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(csv_file, "BLOCK_BYTES", 2_000)
    lines = file.lines()
    path = file.write(tmp_path, [*lines[:60], *[""] * blanks, *lines[60:]])
    with pytest.raises(FraudsimError, match="line 61 is empty, and rows follow"):
        read_dataset(path)


@CSV
@pytest.mark.parametrize("spelled", [str.upper, str.lower, " {}".format, "{} ".format])
def test_a_header_spelled_otherwise_is_named(
    tmp_path: Path, file: Published, spelled: Callable[[str], str]
) -> None:
    header, *rows = file.lines()
    other = ",".join(map(spelled, header.split(",")))
    path = file.write(tmp_path, [other, *rows])
    if other == header:
        return
    # More than half of IEEE-CIS's names are in small letters: what is missing is named then.
    with pytest.raises(FraudsimError, match=rf"^{file.layout} .*(is not spelled as published, '|is missing)"):
        read_dataset(path)
