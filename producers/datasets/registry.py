"""The registry of layouts: finds a file's layout by its header, and opens the file as a dataset."""

from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from fraudsim.errors import FraudsimError
from producers.datasets import cardsim, handbook, ieee_cis, paysim, sparkov, tabformer, ulb
from producers.datasets.csv_form import read_form
from producers.datasets.dataset import Dataset, DatasetSource, load_dataset
from producers.datasets.layout import Layout
from producers.history.manifest import HistoryManifest
from producers.labels.delays import LabelDelays

LAYOUTS: Final[tuple[Layout, ...]] = (
    handbook.LAYOUT,
    sparkov.LAYOUT,
    tabformer.LAYOUT,
    paysim.LAYOUT,
    ieee_cis.LAYOUT,
    cardsim.LAYOUT,
)
_PICKLES: Final = (".pkl", ".pickle")
_COMPRESSED_MAGIC: Final = (b"PK\x03\x04", b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"7z\xbc\xaf", b"(\xb5/\xfd")


def layout_of(path: Path) -> Layout:
    """The layout of a file.

    Raises:
        FraudsimError: the file cannot be read, or its header fits no layout, several, or one that cannot be
            replayed.
    """
    form, header = _read_form_and_header(path)
    if ulb.is_ulb(header):
        raise FraudsimError(
            f"ulb {path}: has no card and no merchant, so it cannot be replayed; "
            f"`fraudsim score-only {path}` trains on its first day and scores the rest"
        )
    fitting = [layout for layout in LAYOUTS if layout.fits(header)]
    if not fitting:
        _refuse_other_spelling(path, header)
        titles = ", ".join(layout.title for layout in LAYOUTS)
        first = ", ".join(header[:4])
        raise FraudsimError(f"replay {path}: header {first}… has no known layout; known are: {titles}")
    if len(fitting) > 1:
        names = " and of ".join(layout.name for layout in fitting)
        raise FraudsimError(f"replay {path}: the header has columns of {names}; a file must be of one")
    layout = fitting[0]
    if layout.form != form:
        raise FraudsimError(f"{layout.name} {path}: is {form}; this layout is read from {layout.form}")
    return layout


def read_score_only(path: Path) -> ulb.UlbRows:
    """Read a file that can be scored but not replayed.

    Raises:
        FraudsimError: the file cannot be read, can be replayed, is of no known layout, or has a bad row.
    """
    form, header = _read_form_and_header(path)
    for layout in LAYOUTS:
        if layout.fits(header):
            raise FraudsimError(
                f"score-only {path}: has the columns of {layout.name}: `fraudsim world replay` takes it"
            )
    if not ulb.is_ulb(header):
        missing = next(name for name in ulb.COLUMNS if name not in header)
        raise FraudsimError(
            f"score-only {path}: column {missing} is missing; what is scored is ULB's creditcard.csv: "
            "Time, V1 to V28, Amount, Class"
        )
    if form != "CSV":
        raise FraudsimError(f"score-only {path}: is {form}; this layout is read from CSV")
    return ulb.read_ulb(path)


def read_dataset(path: Path, delays: LabelDelays | None = None) -> Dataset:
    """Read a file of any known layout into memory.

    Raises:
        FraudsimError: as `layout_of`, or a column is missing, or a row is bad.
    """
    return load_dataset(layout_of(path), path, delays)


def replay_history(
    path: Path,
    directory: Path,
    split_ms: int | None = None,
    history_share: float = 2 / 3,
    delays: LabelDelays | None = None,
) -> HistoryManifest:
    """Write the part before the split as a history; by default the first two thirds of the days.

    Raises:
        FraudsimError: the file is bad, the split leaves no history, or the directory cannot be written.
    """
    return read_dataset(path, delays).write_history(directory, split_ms, history_share)


def replay_source(path: Path, split_ms: int, delays: LabelDelays | None = None) -> DatasetSource:
    """The part of a file from `split_ms` on as a live stream.

    Raises:
        FraudsimError: the file is bad.
    """
    return DatasetSource(read_dataset(path, delays), split_ms)


def _read_form_and_header(path: Path) -> tuple[str, list[str]]:
    """The form of a file, Parquet or CSV, and its column names."""
    if path.is_dir():
        if any(file.suffix in _PICKLES for file in path.iterdir()):
            _refuse_pickles(path, f"sorted(pathlib.Path({str(path)!r}).glob('*.pkl'))")
        raise FraudsimError(f"replay {path}: is a folder; name a file in it")
    try:
        with path.open("rb") as file:
            magic = file.read(6)
    except OSError as error:
        raise FraudsimError(f"replay {path}: {error.strerror}") from None
    if path.suffix in _PICKLES or magic[:1] == b"\x80":
        _refuse_pickles(path, f"[{str(path)!r}]")
    if magic.startswith(_COMPRESSED_MAGIC):
        raise FraudsimError(f"replay {path}: is packed; unpack it and name the file that comes out")
    if not magic.startswith(b"PAR1"):
        return "CSV", list(read_form(path).header)
    try:
        return "Parquet", pq.ParquetFile(path).schema_arrow.names
    except (OSError, pa.ArrowException) as error:
        raise FraudsimError(f"replay {path}: {str(error).splitlines()[0]}") from None


def _refuse_other_spelling(path: Path, header: list[str]) -> None:
    """Raise an error if a layout's names are there, but for blanks around them or capitals."""
    by_plain_name = {name.strip().lower(): name for name in header}
    for layout in LAYOUTS:
        spelled = {name: by_plain_name.get(name.lower(), name) for name in layout.columns}
        if 2 * sum(name.lower() in by_plain_name for name in layout.columns) > len(layout.columns):
            name, other = next((name, other) for name, other in spelled.items() if name != other)
            raise FraudsimError(
                f"{layout.name} {path}: column {other!r} is not spelled as published, {name!r}: "
                "no blanks around names, the same capitals"
            )


def _refuse_pickles(path: Path, files: str) -> None:
    raise FraudsimError(
        f"handbook {path}: a pickle may run any code when opened, so none is; if you trust it, convert it "
        f'where pandas is: python -c "import pandas, pathlib; '
        f"pandas.concat(map(pandas.read_pickle, {files})).to_parquet('handbook.parquet')\""
    )
