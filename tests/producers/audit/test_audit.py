"""The leakage audit: an honest world passes, and every way to give fraud away is named."""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray
from typer.testing import CliRunner

from fraudsim.errors import FraudsimError
from producers.audit.auc import auc, auc_error
from producers.audit.history_audit import audit_history
from producers.audit.limits import AuditLimits
from producers.audit.report import Audit, audit_table
from producers.audit.separation import SeparationCheck
from producers.history.reader import History, read_history
from producers.history.writer import write_history
from producers.rng import generator
from producers.world.config import WorldConfig
from producers.world.world import World
from producers.world_cli import app

Column = pa.Array | pa.ChunkedArray


@dataclass
class Files:
    """The tables of a history, to be spoiled."""

    transactions: pa.Table
    labels: pa.Table
    truth: pa.Table

    @property
    def fraud(self) -> NDArray[np.bool_]:
        return np.asarray(self.truth["is_fraud"])

    def put(self, name: str, values: Column) -> None:
        index = self.transactions.column_names.index(name)
        self.transactions = self.transactions.set_column(index, name, values)

    def text(self, name: str) -> NDArray[np.object_]:
        values: NDArray[np.object_] = np.array(self.transactions[name].to_pylist(), dtype=object)
        return values

    def reorder(self, order: NDArray[np.intp]) -> None:
        self.transactions, self.truth = self.transactions.take(order), self.truth.take(order)


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> History:
    directory = tmp_path_factory.mktemp("honest")
    write_history(directory, World(WorldConfig(cards=1500, fraud_scale=2.5)), 20)
    return read_history(directory)


@pytest.fixture
def leaky(history: History, tmp_path: Path) -> Callable[[Callable[[Files], None]], Audit]:
    def make(spoil: Callable[[Files], None]) -> Audit:
        files = Files(history.transactions(), history.labels(), history.truth())
        spoil(files)
        pq.write_table(files.transactions, tmp_path / "transactions.parquet")
        pq.write_table(files.labels, tmp_path / "labels.parquet")
        pq.write_table(files.truth, tmp_path / "truth.parquet")
        shutil.copy(history.directory / "manifest.json", tmp_path)
        return audit_history(read_history(tmp_path))

    return make


def names(audit: Audit) -> set[str]:
    return {check.name for check in audit.failed}


def test_an_honest_world_passes_every_check(history: History) -> None:
    audit = audit_history(history)
    assert names(audit) == set()
    assert audit.passed
    assert audit.frauds == np.asarray(history.truth()["is_fraud"]).sum()
    assert {check.group for check in audit.checks} == {"signal", "order", "truth"}
    assert audit_table(audit).endswith(f"PASS ({len(audit.checks)}/{len(audit.checks)})")


def test_another_seed_passes_too(tmp_path: Path) -> None:
    write_history(tmp_path, World(WorldConfig(cards=1200, seed=11, fraud_scale=2)), 20)
    assert names(audit_history(read_history(tmp_path))) == set()


def round_amounts(files: Files) -> None:
    cents = np.asarray(files.transactions["amount_cents"])
    files.put("amount_cents", pa.array(np.where(files.fraud, np.maximum(cents // 100, 1) * 100, cents)))


def ordered_ids(files: Files) -> None:
    ids = np.sort(files.text("tx_id"))
    ids_by_row = np.empty(len(ids), dtype=object)
    ids_by_row[np.argsort(files.fraud, kind="stable")] = ids
    files.put("tx_id", pa.array(ids_by_row.tolist()))
    files.truth = files.truth.set_column(0, "tx_id", files.transactions["tx_id"])


def ids_ordered_within_a_day(files: Files) -> None:
    """Ids count up over the days, as an honest feed's may; a day's frauds come last."""
    day = np.asarray(files.transactions["ts"]) // 86_400_000
    order = np.lexsort((files.fraud, day))
    ids_by_row = np.empty(len(day), dtype=object)
    ids_by_row[order] = [f"{i:016x}" for i in range(len(day))]
    files.put("tx_id", pa.array(ids_by_row.tolist()))
    files.truth = files.truth.set_column(0, "tx_id", files.transactions["tx_id"])


def odd_ids(files: Files) -> None:
    odd = [
        text[:-1] + ("1" if is_fraud else "0")
        for text, is_fraud in zip(files.text("tx_id"), files.fraud, strict=True)
    ]
    files.put("tx_id", pa.array(odd))


def one_device(files: Files) -> None:
    device = files.text("device_id")
    device[files.fraud] = "d0123456789abcdef"
    files.put("device_id", pa.array(device.tolist()).dictionary_encode())


def one_device_now_and_then(files: Files) -> None:
    device = files.text("device_id")
    device[np.flatnonzero(files.fraud)[::20]] = "d0123456789abcdef"
    files.put("device_id", pa.array(device.tolist()).dictionary_encode())


def typology_in_merchant(files: Files) -> None:
    merchant, typology = files.text("merchant_id"), files.truth["typology"].to_pylist()
    marked = [f"{m}-{t}" if t else m for m, t in zip(merchant, typology, strict=True)]
    files.put("merchant_id", pa.array(marked).dictionary_encode())


def campaign_in_an_unused_word(files: Files) -> None:
    column = files.transactions["country"].combine_chunks()
    campaign = next(word for word in files.truth["campaign_id"].to_pylist() if word)
    words = pa.concat_arrays([column.dictionary, pa.array([campaign])])
    files.put("country", pa.DictionaryArray.from_arrays(column.indices, words))


def no_address_on_the_web(files: Files) -> None:
    """An absent address is common, and so is the web: only together they tell."""
    ip, channel = files.text("ip"), files.text("channel")
    ip[files.fraud & (channel == "ecommerce")] = None
    files.put("ip", pa.array(ip.tolist()).dictionary_encode())


def frauds_last_at_equal_times(files: Files) -> None:
    ts, is_fraud = np.asarray(files.transactions["ts"]).copy(), files.fraud
    honest = np.flatnonzero(~is_fraud)
    near = honest[np.clip(np.searchsorted(honest, np.flatnonzero(is_fraud)), 0, len(honest) - 1)]
    ts[is_fraud] = ts[near]
    files.put("ts", pa.array(ts))
    files.reorder(np.lexsort((is_fraud, ts)))


def round_milliseconds(files: Files) -> None:
    ts, is_fraud = np.asarray(files.transactions["ts"]), files.fraud
    files.put("ts", pa.array(np.where(is_fraud, ts // 1000 * 1000, ts)))
    files.reorder(np.lexsort((files.text("tx_id").astype(str), np.asarray(files.transactions["ts"]))))


def in_clothes_shops_at_night(files: Files) -> None:
    """Frauds are made at night, clothes are bought: only a shop that is closed tells."""
    ts, lon = np.asarray(files.transactions["ts"]), np.asarray(files.transactions["lon"])
    hour = (ts // 3_600_000 + np.rint(np.nan_to_num(lon) / 15).astype(np.int64)) % 24
    mcc = np.asarray(files.transactions["mcc"]).copy()
    mcc[files.fraud & np.isfinite(lon) & (hour < 7)] = 5651
    files.put("mcc", pa.array(mcc))


def a_column_of_its_own(files: Files) -> None:
    noise = generator(3, "noise").normal(size=len(files.fraud))
    files.transactions = files.transactions.append_column("risk", pa.array(noise + 4 * files.fraud))


RATE = "fraud rate of each value"
PECULIAR = "share at values peculiar to fraud"
LEAKS: list[tuple[Callable[[Files], None], set[str]]] = [
    (
        round_amounts,
        {"amount_cents: last two digits", "amount_cents: fraud rate of the last two digits"},
    ),
    (ordered_ids, {"tx_id: order"}),
    (ids_ordered_within_a_day, {"tx_id: order within its day"}),
    (odd_ids, {"tx_id: last two characters"}),
    (one_device, {f"device_id: {RATE}", f"device_id: {PECULIAR}"}),
    (one_device_now_and_then, {f"device_id: {PECULIAR}"}),
    (typology_in_merchant, {"merchant_id: values that name a typology or a campaign"}),
    (campaign_in_an_unused_word, {"country: values that name a typology or a campaign"}),
    (no_address_on_the_web, {"pairs of columns: share at combinations only fraud has"}),
    (in_clothes_shops_at_night, {"pairs of columns: share at combinations only fraud has"}),
    (frauds_last_at_equal_times, {"ts: row order at equal times", "ts: rows that share it"}),
    (round_milliseconds, {"ts: millisecond of the second", "ts: fraud rate of the millisecond"}),
    (a_column_of_its_own, {"risk: number"}),
]


@pytest.mark.parametrize(("spoil", "named"), LEAKS, ids=[spoil.__name__ for spoil, _ in LEAKS])
def test_a_leak_is_named(
    leaky: Callable[[Callable[[Files], None]], Audit], spoil: Callable[[Files], None], named: set[str]
) -> None:
    audit = leaky(spoil)
    assert named <= names(audit)
    assert not audit.passed
    assert "LEAK" in audit_table(audit)


def backwards(files: Files) -> None:
    order = np.arange(len(files.fraud))
    order[[10, 5000]] = order[[5000, 10]]
    files.reorder(order)


def repeated_id(files: Files) -> None:
    text = files.text("tx_id")
    text[7] = text[3]
    files.put("tx_id", pa.array(text.tolist()))


def early_label(files: Files) -> None:
    known_at = np.asarray(files.labels["known_at"]).copy()
    known_at[0] = np.asarray(files.labels["ts"])[0] - 1
    files.labels = files.labels.set_column(7, "known_at", pa.array(known_at))


def label_of_another_card(files: Files) -> None:
    shifted = np.roll(np.array(files.labels["card_id"].to_pylist(), dtype=object), 1)
    files.labels = files.labels.set_column(1, "card_id", pa.array(shifted.tolist()).dictionary_encode())


def label_of_nothing(files: Files) -> None:
    ids = np.array(files.labels["tx_id"].to_pylist(), dtype=object)
    ids[4] = "f" * 16
    files.labels = files.labels.set_column(0, "tx_id", pa.array(ids.tolist()))


def label_twice(files: Files) -> None:
    files.labels = pa.concat_tables([files.labels, files.labels.slice(files.labels.num_rows - 1)])


def truth_out_of_step(files: Files) -> None:
    files.truth = files.truth.take(np.roll(np.arange(len(files.fraud)), 1))


def named_after_the_truth(files: Files) -> None:
    files.transactions = files.transactions.append_column("Fraud_kind", files.transactions["mcc"])


BROKEN: list[tuple[Callable[[Files], None], str]] = [
    (backwards, "transactions: ts runs backwards"),
    (repeated_id, "transactions: tx_id not unique"),
    (early_label, "labels: known before the transaction"),
    (label_of_another_card, "labels: another card_id"),
    (label_of_nothing, "labels: of no transaction"),
    (label_twice, "labels: given twice"),
    (truth_out_of_step, "truth: not row by row that of the transactions"),
    (frauds_last_at_equal_times, "transactions: equal times not by tx_id"),
    (named_after_the_truth, "transactions: columns named after the truth"),
]


@pytest.mark.parametrize(("spoil", "named"), BROKEN, ids=[spoil.__name__ for spoil, _ in BROKEN])
def test_broken_order_and_keys_are_named(
    leaky: Callable[[Callable[[Files], None]], Audit], spoil: Callable[[Files], None], named: str
) -> None:
    assert named in names(leaky(spoil))


def test_the_bounds_are_arguments(history: History) -> None:
    strict = audit_history(history, AuditLimits(signal=0.6))
    assert "channel: fraud rate of each value" in names(strict)


def test_auc_is_the_share_of_pairs_in_order() -> None:
    rng = generator(1, "auc")
    score, fraud = rng.integers(0, 9, size=300), rng.random(300) < 0.2
    high, low = score[fraud][:, None], score[~fraud][None, :]
    assert auc(score, fraud) == pytest.approx(((high > low) + 0.5 * (high == low)).mean())
    assert auc(score, np.zeros(300, np.bool_)) == 0.5


def test_the_error_of_an_auc_is_that_of_repeated_draws() -> None:
    # Scores of exponential distributions, for which the formula is exact.
    rng = generator(2, "error")
    fraud = np.arange(450) < 50
    drawn = [auc(rng.exponential(np.where(fraud, 2.0, 1.0)), fraud) for _ in range(400)]
    assert np.mean(drawn) == pytest.approx(2 / 3, abs=0.01)
    assert auc_error(2 / 3, 50, 400) == pytest.approx(np.std(drawn), rel=0.1)
    assert auc_error(0.7, 500, 5000) < auc_error(0.7, 50, 5000)


def test_times_that_are_all_different_say_nothing() -> None:
    check = SeparationCheck(np.arange(100) % 10 == 0, AuditLimits()).ties(np.arange(100))
    assert (check.value, check.passed, check.note) == (0.5, True, "0 of 0 pairs")


def test_too_few_frauds_to_judge_by_is_an_error(tmp_path: Path) -> None:
    write_history(tmp_path, World(WorldConfig(cards=300)), 4)
    with pytest.raises(FraudsimError, match="frauds in one half"):
        audit_history(read_history(tmp_path))


def test_the_command_exits_by_the_verdict_and_writes_json(history: History, tmp_path: Path) -> None:
    runner = CliRunner()
    report = tmp_path / "audit.json"
    clean = runner.invoke(app, ["audit", str(history.directory), "--json", str(report)])
    assert clean.exit_code == 0, clean.output
    written = json.loads(report.read_bytes())
    assert written["passed"]
    assert len(written["checks"]) == int(clean.output.rsplit("/", 1)[1].strip(")\n"))
    spoiled = tmp_path / "spoiled"
    shutil.copytree(history.directory, spoiled)
    labels = history.labels()
    late = labels.set_column(7, "known_at", pc.subtract(labels["ts"], 1))
    pq.write_table(late, spoiled / "labels.parquet")
    broken = runner.invoke(app, ["audit", str(spoiled)])
    assert broken.exit_code == 1
    assert "BROKEN" in broken.output


def test_a_history_that_lacks_columns_and_campaigns_is_judged_by_the_rest(
    leaky: Callable[[Callable[[Files], None]], Audit],
) -> None:
    def lack(files: Files) -> None:
        rows = len(files.fraud)
        for name in ("device_id", "ip", "channel"):
            files.put(name, pa.nulls(rows, pa.string()).dictionary_encode())
        for name in ("lat", "lon"):
            files.put(name, pa.nulls(rows, pa.float64()))
        empty = pa.nulls(rows, pa.string()).dictionary_encode()
        for index, name in ((2, "typology"), (3, "campaign_id")):
            files.truth = files.truth.set_column(index, name, empty)

    audit = leaky(lack)
    assert names(audit) == set()
    absent = next(check for check in audit.checks if check.name == "device_id: fraud rate of each value")
    assert absent.value == 0.5
