"""`fraudsim bench scorer`: scoring rows and explaining one, by our compiled trees and their rivals."""

import statistics
import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from fraudsim.arrays import Floats
from fraudsim.errors import FraudsimError, InvariantError
from fraudsim.settings import Settings
from load_tests.rig.machine import machine
from load_tests.rig.primed_world import LABEL_GAP_DAYS, SMALL_WORLD, SMALL_WORLD_DAYS
from model.artefact.files import load_model
from model.artefact.model import Model
from model.forest.forest import booster_of
from model.training.train import train_model
from producers.history.writer import write_history
from producers.world.world import World
from stream_features.vector import SIZE, as_vector

PROTOCOL: Final = (
    "The same trees and the same float32 rows, all in one thread of one process: our walk, as the scorer "
    "calls it, against XGBoost's inplace_predict and its predict of a DMatrix, whose construction counts; "
    "and, where they are installed, ONNX Runtime and Treelite's GTIL, one thread each. A row takes each "
    "feature from one of the model's sample rows; one value in ten is missing. Before anything is timed, all "
    "scores must be equal to the bit, those of ONNX Runtime and Treelite, which sum in an order of their "
    "own, to 1e-6. Contestants alternate within each turn, which calls each for a twentieth of a second at "
    "least; medians of the turns' means."
)
REASONS_PROTOCOL: Final = (
    "Contributions of every feature to the margin of one row, for several rows in turn: our compiled "
    "TreeSHAP, as the scorer calls it, against XGBoost's pred_contribs, exact and approximate, the "
    "construction of the DMatrix included. Before anything is timed, ours must be XGBoost's exact ones, "
    "which are float32, to 1e-5 of their sum."
)
ROWS: Final = (1, 16, 512)
EXPLAINED: Final = 32
"""Number of rows that are explained."""
TOLERANCE: Final = 1e-6
SHAP_TOLERANCE: Final = 1e-5
SEED: Final = 7
MISSING: Final = 0.1
"""Share of missing values."""
SPAN_S: Final = 0.05
"""Least time of a measurement."""

Score = Callable[[Floats], Floats]
Explain = Callable[[Floats], npt.NDArray[Any]]


def bench_trees(directory: Path | None, turns: int) -> dict[str, Any]:
    """The report, ready for JSON.

    Args:
        directory: folder of a model; None trains one on a small world.

    Raises:
        FraudsimError: the model cannot be loaded, or its trees are not compiled.
        InvariantError: a score differs in any bit.
    """
    model = _load_or_train(directory)
    if model.not_compiled is not None:
        raise FraudsimError(f"bench: model {model.version}: XGBoost itself scores it: {model.not_compiled}")
    contestants = contestants_of(model)
    rows = rows_like(model, max(ROWS))
    check_equal(contestants, rows)
    times_us: dict[tuple[str, int], list[float]] = {(name, n): [] for n in ROWS for name in contestants}
    for _ in range(turns):
        for (name, n), turn_times in times_us.items():
            turn_times.append(_call_us(contestants[name], rows[:n]))
    median = {key: statistics.median(turn_times) for key, turn_times in times_us.items()}
    return {
        "machine": machine(("xgboost", "numba", "numpy")),
        "protocol": PROTOCOL,
        "configuration": {
            "model": model.version,
            "trees": booster_of(model.ubj).num_boosted_rounds(),
            "features": SIZE,
            "turns": turns,
            "seed": SEED,
            "left_out": not_installed(),
        },
        "results": [
            {
                "name": name,
                "rows": n,
                "value": round(median[name, n], 2),
                "unit": "µs/call",
                "turns": [round(us, 2) for us in times_us[name, n]],
            }
            for name, n in times_us
        ],
        "ratios": {
            rival: {str(n): round(median[rival, n] / median["fraudsim", n], 2) for n in ROWS}
            for rival in contestants
            if rival != "fraudsim"
        },
        "reasons": bench_reasons(model, rows[:EXPLAINED], turns),
    }


def bench_reasons(model: Model, rows: Floats, turns: int) -> dict[str, Any]:
    """The part of the report on explaining a row.

    Raises:
        FraudsimError: the compiled code does not explain the model.
        InvariantError: a contribution differs from XGBoost's.
    """
    import xgboost

    if model.not_explained is not None:
        raise FraudsimError(
            f"bench: model {model.version}: XGBoost itself explains it: {model.not_explained}"
        )
    booster = booster_of(model.ubj)

    def by_xgboost(row: Floats, approx: bool = False) -> Floats:
        data = xgboost.DMatrix(row.reshape(1, SIZE), nthread=1)
        contributions = booster.predict(data, pred_contribs=True, approx_contribs=approx)
        return np.asarray(contributions[0, :SIZE])

    contestants: dict[str, Explain] = {
        "fraudsim": model.contributions,
        "pred_contribs": by_xgboost,
        "approx_contribs": lambda row: by_xgboost(row, approx=True),
    }
    for row in rows:
        expected = by_xgboost(row)
        difference = np.abs(model.contributions(row) - expected).max()
        if not difference <= SHAP_TOLERANCE * (1 + np.abs(expected).sum()):
            raise InvariantError(f"bench: a contribution is {difference:g} off that of pred_contribs")
    times_us: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(turns):
        for name, turn_times in times_us.items():
            turn_times.append(_row_us(contestants[name], rows))
    median = {name: statistics.median(turn_times) for name, turn_times in times_us.items()}
    return {
        "protocol": REASONS_PROTOCOL,
        "results": [
            {
                "name": name,
                "rows": 1,
                "value": round(median[name], 1),
                "unit": "µs/call",
                "turns": [round(us, 1) for us in turn_times],
            }
            for name, turn_times in times_us.items()
        ],
        "ratios": {
            name: round(median[name] / median["fraudsim"], 2) for name in median if name != "fraudsim"
        },
    }


def contestants_of(model: Model) -> dict[str, Score]:
    """Ways to score float32 rows (n, SIZE), by name; ours first, then those that are installed."""
    import xgboost

    booster = booster_of(model.ubj)
    return {
        "fraudsim": model.predict,
        "inplace_predict": booster.inplace_predict,
        "dmatrix": lambda rows: booster.predict(xgboost.DMatrix(rows, nthread=1)),
        **{name: make(booster) for name, make in OPTIONAL_RIVALS.items() if find_spec(name)},
    }


def _by_onnxruntime(booster: Any) -> Score:
    import onnxruntime
    from onnxmltools import convert_xgboost
    from onnxmltools.convert.common.data_types import FloatTensorType

    document = convert_xgboost(booster, initial_types=[("rows", FloatTensorType([None, SIZE]))])
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        document.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return lambda rows: np.asarray(session.run(["probabilities"], {"rows": rows})[0][:, 1])


def _by_treelite(booster: Any) -> Score:
    import treelite

    trees = treelite.frontend.from_xgboost(booster)
    return lambda rows: np.asarray(treelite.gtil.predict(trees, rows, nthread=1)).reshape(-1)


OPTIONAL_RIVALS: Final[dict[str, Callable[[Any], Score]]] = {
    "onnxruntime": _by_onnxruntime,
    "treelite": _by_treelite,
}


def not_installed() -> list[str]:
    """Names of the optional rivals that are not installed."""
    return [name for name in OPTIONAL_RIVALS if not find_spec(name)]


def rows_like(model: Model, count: int) -> Floats:
    """Rows of values from the model's sample, some of them missing; float32 (count, SIZE)."""
    rng = np.random.default_rng(SEED)
    sample = np.stack([as_vector(row) for row in model.manifest.sample.rows])
    rows = sample[rng.integers(0, len(sample), (count, SIZE)), np.arange(SIZE)]
    rows[rng.random(rows.shape) < MISSING] = np.nan
    return rows


def check_equal(contestants: dict[str, Score], rows: Floats) -> None:
    """Compare the contestants' scores of the rows, for every number of rows a call.

    Raises:
        InvariantError: a score differs in a bit, or for the optional rivals by more than `TOLERANCE`.
    """
    expected = contestants["inplace_predict"](rows)
    for name, score in contestants.items():
        for n in ROWS:
            scores = np.concatenate([score(rows[i : i + n]) for i in range(0, len(rows), n)])
            if name in OPTIONAL_RIVALS:
                difference = float(np.abs(scores - expected).max())
                if not difference <= TOLERANCE:
                    raise InvariantError(f"bench: {name}, {n} rows a call: a score is {difference:g} off")
                continue
            wrong = int(np.count_nonzero(scores.view(np.uint32) != expected.view(np.uint32)))
            if wrong:
                raise InvariantError(
                    f"bench: {name}, {n} rows a call: {wrong} of {len(rows)} scores are not those of "
                    "inplace_predict to the bit"
                )


def train(directory: Path) -> None:
    """Train a model on a small world; the same each time."""
    with tempfile.TemporaryDirectory() as folder:
        write_history(Path(folder), World(SMALL_WORLD), SMALL_WORLD_DAYS)
        settings = Settings(_env_file=None, label_gap_days=LABEL_GAP_DAYS, seed=SMALL_WORLD.seed)
        train_model(Path(folder), directory, settings)


def _load_or_train(directory: Path | None) -> Model:
    if directory is not None:
        return load_model(directory)
    with tempfile.TemporaryDirectory() as folder:
        model_dir = Path(folder) / "model"
        train(model_dir)
        return load_model(model_dir)


def _call_us(score: Score, rows: Floats) -> float:
    """Mean time of a call, over at least `SPAN_S`."""
    calls, started = 0, time.perf_counter()
    while (now := time.perf_counter()) - started < SPAN_S:
        for _ in range(10):
            score(rows)
        calls += 10
    return (now - started) / calls * 1e6


def _row_us(explain: Explain, rows: Floats) -> float:
    """Mean time of a call for one row, over all rows, for at least `SPAN_S`."""
    calls, started = 0, time.perf_counter()
    while (now := time.perf_counter()) - started < SPAN_S:
        for row in rows:
            explain(row)
        calls += len(rows)
    return (now - started) / calls * 1e6
