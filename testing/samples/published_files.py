"""Small files in the published layouts: headers verbatim, values in the publishers' formats."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

ROWS, PER_DAY = 120, 20
HANDBOOK_START = datetime(2018, 4, 1)


@dataclass(frozen=True)
class Published:
    """A published CSV layout: file name, header, and row number i, counted from 0."""

    layout: str
    file: str
    header: str
    row: Callable[[int], str]
    time: tuple[str, str]
    """A column of time, and an invalid value for it."""
    amount: str
    """The column of the amount."""
    fraud: str
    """The column of the label."""

    def lines(self) -> list[str]:
        return [self.header, *(self.row(i) for i in range(ROWS))]

    def write(self, folder: Path, lines: list[str] | None = None) -> Path:
        path = folder / self.file
        path.write_text("\n".join(self.lines() if lines is None else lines) + "\n", encoding="utf-8")
        return path

    def money(self, amount: str) -> str:
        """An amount as the layout writes it."""
        return f"${amount}" if self.layout == "tabformer" else amount

    def replaced(self, line: int, column: str, value: str) -> list[str]:
        """All lines, with one value of one (1-based) line replaced; rows must have no quoted commas."""
        lines = self.lines()
        cells = lines[line - 1].split(",")
        cells[self.header.split(",").index(column)] = value
        lines[line - 1] = ",".join(cells)
        return lines


def moment(i: int) -> datetime:
    """The time of row i: six days, rows a minute apart within each."""
    return datetime(2019, 1, 1, 0, 0, 18) + timedelta(days=i // PER_DAY, minutes=i % PER_DAY)


def fraud(i: int) -> bool:
    return i % 10 == 0


def sparkov_row(i: int) -> str:
    return (
        f"{i},{moment(i)},{2703186189652095 + i % 7},fraud_Heller and Sons,grocery_pos,{4.97 + i:.2f},"
        "Jennifer,Banks,F,561 Perry Cove,Moravian Falls,NC,28654,36.0788,-81.1781,3495,Psychologist,"
        f"1988-03-09,{i:032x},{1325376018 + i},36.011293,-82.048315,{fraud(i):d}"
    )


def tabformer_row(i: int) -> str:
    time = moment(i)
    return (
        f"{i % 3},{i % 2},{time.year},{time.month},{time.day},{time:%H:%M},${134.09 + i:.2f},"
        f"Swipe Transaction,{3527213246127876953 + i % 5},La Verne,CA,"
        f"91750.0,5300,,{'Yes' if fraud(i) else 'No'}"
    )


def paysim_row(i: int) -> str:
    step = i // PER_DAY * 24 + i % PER_DAY + 1
    kind = "TRANSFER" if fraud(i) else "PAYMENT"
    return (
        f"{step},{kind},{9839.64 + i:.2f},C{1231006815 + i},170136.0,160296.36,M{1979787155 + i % 5},"
        f"0.0,0.0,{fraud(i):d},0"
    )


def cardsim_row(i: int) -> str:
    time = moment(i)
    seconds = (time - datetime(time.year, time.month, time.day)).seconds
    return (
        f"S42P500D180,{i // PER_DAY},{time:%Y-%m-%d},{seconds},{time.hour},{time},{i % 7},{i % 5},{i % 2},"
        f"{i % 3 % 2},12.041595,{23.458723651299998 + i!r},{fraud(i):d}"
    )


IEEE_HEADER = ",".join(
    [
        "TransactionID,isFraud,TransactionDT,TransactionAmt,ProductCD,card1,card2,card3,card4,card5,card6",
        "addr1,addr2,dist1,dist2,P_emaildomain,R_emaildomain",
        *(f"C{i}" for i in range(1, 15)),
        *(f"D{i}" for i in range(1, 16)),
        *(f"M{i}" for i in range(1, 10)),
        *(f"V{i}" for i in range(1, 340)),
    ]
)
IDENTITY_HEADER = ",".join(["TransactionID", *(f"id_{i:02d}" for i in range(1, 39)), "DeviceType,DeviceInfo"])
IDENTITY_ROW = (
    "2987004,0.0,70787.0,,,,,,,,,100.0,NotFound,,-480.0,New,NotFound,166.0,,542.0,144.0,,,,,,,,New,NotFound,"
    "Android 7.0,samsung browser 6.2,32.0,2220x1080,match_status:2,T,F,T,T,mobile,"
    "SAMSUNG SM-G892A Build/NRD90M"
)


def ieee_row(i: int) -> str:
    seconds = 86_400 * (1 + i // PER_DAY) + i % PER_DAY
    values = (
        f"{2987000 + i},{fraud(i):d},{seconds},{68.5 + i},W,{13926 + i % 7},,150.0,discover,142.0,credit,"
        "315.0,87.0,19.0,,,"
    )
    return values + "," * (IEEE_HEADER.count(",") - values.count(","))


ULB_HEADER = ",".join(f'"{name}"' for name in ("Time", *(f"V{i}" for i in range(1, 29)), "Amount", "Class"))


def ulb_row(i: int, rows: int) -> str:
    """A row of two days, in R's format: 100000 seconds are 1e+05; a fraud has an unusual V14."""
    seconds = i * 2 * 86_400 // rows
    is_fraud = i % 20 == 0
    components = [f"{((i * (7 + k)) % 1000) / 250 - 2:.14g}" for k in range(28)]
    components[13] = f"{(-4.289 if is_fraud else 0.311) + ((i * 31) % 100) / 40:.14g}"
    time = "1e+05" if seconds == 100_000 else str(seconds)
    return ",".join([time, *components, f"{(i * 7919 % 20000) / 100:g}", f'"{int(is_fraud)}"'])


def write_ulb(path: Path, lines: list[str] | None = None) -> Path:
    """Write ULB's creditcard.csv, by default the lines of `ulb_lines`: only names and class are quoted."""
    path.write_text("\n".join(ulb_lines() if lines is None else lines) + "\n", encoding="utf-8")
    return path


def ulb_lines(rows: int = 2000) -> list[str]:
    return [ULB_HEADER, *(ulb_row(i, rows) for i in range(rows))]


PUBLISHED = (
    Published(
        "sparkov",
        "fraudTrain.csv",
        ",trans_date_trans_time,cc_num,merchant,category,amt,first,last,gender,street,city,state,zip,lat,long,"
        "city_pop,job,dob,trans_num,unix_time,merch_lat,merch_long,is_fraud",
        sparkov_row,
        ("trans_date_trans_time", "2019-13-01 00:00:18"),
        "amt",
        "is_fraud",
    ),
    Published(
        "tabformer",
        "card_transaction.v1.csv",
        "User,Card,Year,Month,Day,Time,Amount,Use Chip,Merchant Name,Merchant City,Merchant State,Zip,MCC,"
        "Errors?,Is Fraud?",
        tabformer_row,
        ("Time", "24:00"),
        "Amount",
        "Is Fraud?",
    ),
    Published(
        "paysim",
        "PS_20174392719_1491204439457_log.csv",
        "step,type,amount,nameOrig,oldbalanceOrg,newbalanceOrig,nameDest,oldbalanceDest,newbalanceDest,isFraud,"
        "isFlaggedFraud",
        paysim_row,
        ("step", "0"),
        "amount",
        "isFraud",
    ),
    Published(
        "cardsim",
        "transaction-data-S42P500D180.csv",
        "run_id,day_index,date,time_seconds,hour,date_time,payer_id,payee_id,credit_card,remote,distance,amount,"
        "fraud",
        cardsim_row,
        ("date_time", "yesterday"),
        "amount",
        "fraud",
    ),
    Published(
        "ieee-cis",
        "train_transaction.csv",
        IEEE_HEADER,
        ieee_row,
        ("TransactionDT", "-1"),
        "TransactionAmt",
        "isFraud",
    ),
)


def published(layout: str) -> Published:
    return next(file for file in PUBLISHED if file.layout == layout)


def handbook(days: int = ROWS // PER_DAY) -> dict[str, list[Any]]:
    """Columns of the Handbook's published layout, in order of time."""
    count = days * PER_DAY
    times = [HANDBOOK_START + timedelta(days=i // PER_DAY, minutes=i % PER_DAY) for i in range(count)]
    return {
        "TRANSACTION_ID": list(range(count)),
        "TX_DATETIME": times,
        "CUSTOMER_ID": [i % 7 for i in range(count)],
        "TERMINAL_ID": [i % 11 for i in range(count)],
        "TX_AMOUNT": [round(1.01 + i / 100, 2) for i in range(count)],
        "TX_TIME_SECONDS": [int((t - HANDBOOK_START).total_seconds()) for t in times],
        "TX_TIME_DAYS": [(t - HANDBOOK_START).days for t in times],
        "TX_FRAUD": [int(fraud(i)) for i in range(count)],
        "TX_FRAUD_SCENARIO": [1 + i % 3 if fraud(i) else 0 for i in range(count)],
    }


def write_handbook(path: Path, values: Mapping[str, Any] | None = None) -> Path:
    pq.write_table(pa.table(dict(handbook() if values is None else values)), path)
    return path
