"""The servers of `fraudsim bench http`: how each is started, and what its requests look like."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

import fraudsim
from load_tests.benches.http.requests import (
    as_feature_tensor,
    as_features,
    as_named,
    as_tensor,
    as_transaction,
)
from load_tests.rivals.scoring_setup import RivalSetup
from runner.stack.ports import free_port

FEATURES: Final = "features"
"""The table of servers that read features from Redis."""
MODEL: Final = "model"
"""The table of servers that get a feature vector."""
ROOT: Final = Path(fraudsim.__file__).parent.parent


@dataclass(frozen=True)
class HttpContestant:
    """One server of one table."""

    name: str
    table: str
    path: str
    body: Callable[[Any], bytes]
    """From a transaction, or a feature vector, to a request's body."""
    command: Callable[[Path, RivalSetup], list[str]]
    """From a folder for its files, and its setup, to the arguments after the interpreter's path."""
    venv: str = ""
    """Name of the virtual environment it is installed in; empty: ours."""

    @property
    def python(self) -> Path:
        return ROOT / f".venv-{self.venv}" / "bin" / "python" if self.venv else Path(sys.executable)


def _module(name: str, *argv: str) -> Callable[[Path, RivalSetup], list[str]]:
    return lambda folder, setup: ["-m", f"load_tests.rivals.{name}", *argv]


def _bentoml(folder: Path, setup: RivalSetup) -> list[str]:
    service = "load_tests.rivals.bentoml_service:Fraud"
    return ["-m", "bentoml", "serve", service, "--host", "127.0.0.1", "--port", str(setup.port)]


def _mlserver(implementation: str) -> Callable[[Path, RivalSetup], list[str]]:
    def command(folder: Path, setup: RivalSetup) -> list[str]:
        settings = {
            "host": "127.0.0.1", "http_port": setup.port, "grpc_port": free_port(),
            "metrics_port": setup.metrics_port, "parallel_workers": 0, "debug": False,
        }  # fmt: skip
        model = {
            "name": "fraud",
            "implementation": implementation,
            "parameters": {"uri": setup.xgboost_model},
        }
        (folder / "settings.json").write_bytes(msgspec.json.encode(settings))
        (folder / "model-settings.json").write_bytes(msgspec.json.encode(model))
        return ["-m", "mlserver.cli.main", "start", str(folder)]

    return command


CONTESTANTS: Final = (
    HttpContestant("fraudsim", FEATURES, "/v1/score", as_transaction, _module("fraudsim_http")),
    HttpContestant("starlette+xgboost", FEATURES, "/score", as_transaction, _module("starlette_xgboost")),
    HttpContestant("fastapi", FEATURES, "/score", as_transaction, _module("fastapi_xgboost"), "bench-http"),
    HttpContestant(
        "mlserver", FEATURES, "/v2/models/fraud/infer", as_tensor,
        _mlserver("load_tests.rivals.mlserver_runtime.FraudModel"), "bench-mlserver",
    ),
    HttpContestant("bentoml", FEATURES, "/score", as_named, _bentoml, "bench-http"),
    HttpContestant("fraudsim", MODEL, "/score_vector", as_features, _module("fraudsim_trees")),
    HttpContestant(
        "starlette+xgboost", MODEL, "/score_vector", as_features, _module("starlette_xgboost", "--vectors")
    ),
    HttpContestant("fastapi", MODEL, "/score_vector", as_features, _module("fastapi_xgboost"), "bench-http"),
    HttpContestant(
        "mlserver", MODEL, "/v2/models/fraud/infer", as_feature_tensor,
        _mlserver("mlserver_xgboost.XGBoostModel"), "bench-mlserver",
    ),
    HttpContestant("bentoml", MODEL, "/score_vector", as_features, _bentoml, "bench-http"),
)  # fmt: skip
NAMES: Final = tuple(dict.fromkeys(contestant.name for contestant in CONTESTANTS))


def present(contestants: Sequence[HttpContestant]) -> tuple[list[HttpContestant], list[str]]:
    """The installed contestants, and a line about each server that is not installed."""
    installed = [contestant for contestant in contestants if contestant.python.exists()]
    missing = {c.name: c.venv for c in contestants if not c.python.exists()}
    return installed, [
        f"{name} is left out: .venv-{venv} is not there; `make setup-bench-http` installs it"
        for name, venv in missing.items()
    ]
