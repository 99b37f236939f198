"""The servers that `fraudsim bench http` measures: how each is started, and asked."""

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
from load_tests.rivals.common import Given
from runner.stack.ports import free_port

FEATURES: Final = "features"
MODEL: Final = "model"


ROOT: Final = Path(fraudsim.__file__).parent.parent


@dataclass(frozen=True)
class Contestant:
    """One server: how it is started and asked."""

    name: str
    table: str
    path: str
    body: Callable[[Any], bytes]
    """Of a transaction, or of a feature vector."""
    command: Callable[[Path, Given], list[str]]
    """Its arguments after the interpreter's path; given a folder for its own files."""
    venv: str = ""
    """The environment that it is installed in; ours where empty."""

    @property
    def python(self) -> Path:
        return ROOT / f".venv-{self.venv}" / "bin" / "python" if self.venv else Path(sys.executable)


def _module(name: str, *argv: str) -> Callable[[Path, Given], list[str]]:
    return lambda folder, given: ["-m", f"load_tests.rivals.{name}", *argv]


def _bentoml(folder: Path, given: Given) -> list[str]:
    service = "load_tests.rivals.bentoml_service:Fraud"
    return ["-m", "bentoml", "serve", service, "--host", "127.0.0.1", "--port", str(given.port)]


def _mlserver(implementation: str) -> Callable[[Path, Given], list[str]]:
    def command(folder: Path, given: Given) -> list[str]:
        settings = {
            "host": "127.0.0.1", "http_port": given.port, "grpc_port": free_port(),
            "metrics_port": given.metrics_port, "parallel_workers": 0, "debug": False,
        }  # fmt: skip
        model = {
            "name": "fraud",
            "implementation": implementation,
            "parameters": {"uri": given.xgboost_model},
        }
        (folder / "settings.json").write_bytes(msgspec.json.encode(settings))
        (folder / "model-settings.json").write_bytes(msgspec.json.encode(model))
        return ["-m", "mlserver.cli.main", "start", str(folder)]

    return command


CONTESTANTS: Final = (
    Contestant("fraudsim", FEATURES, "/v1/score", as_transaction, _module("fraudsim_http")),
    Contestant("starlette+xgboost", FEATURES, "/score", as_transaction, _module("starlette_xgboost")),
    Contestant("fastapi", FEATURES, "/score", as_transaction, _module("fastapi_xgboost"), "bench-http"),
    Contestant(
        "mlserver", FEATURES, "/v2/models/fraud/infer", as_tensor,
        _mlserver("load_tests.rivals.mlserver_runtime.FraudModel"), "bench-mlserver",
    ),
    Contestant("bentoml", FEATURES, "/score", as_named, _bentoml, "bench-http"),
    Contestant("fraudsim", MODEL, "/score_vector", as_features, _module("fraudsim_trees")),
    Contestant(
        "starlette+xgboost", MODEL, "/score_vector", as_features, _module("starlette_xgboost", "--vectors")
    ),
    Contestant("fastapi", MODEL, "/score_vector", as_features, _module("fastapi_xgboost"), "bench-http"),
    Contestant(
        "mlserver", MODEL, "/v2/models/fraud/infer", as_feature_tensor,
        _mlserver("mlserver_xgboost.XGBoostModel"), "bench-mlserver",
    ),
    Contestant("bentoml", MODEL, "/score_vector", as_features, _bentoml, "bench-http"),
)  # fmt: skip
NAMES: Final = tuple(dict.fromkeys(each.name for each in CONTESTANTS))


def present(contestants: Sequence[Contestant]) -> tuple[list[Contestant], list[str]]:
    """Those that are installed, and a line about each that is not."""
    found = [each for each in contestants if each.python.exists()]
    missing = {each.name: each.venv for each in contestants if not each.python.exists()}
    return found, [
        f"{name} is left out: .venv-{venv} is not there; `make setup-bench-http` installs it"
        for name, venv in missing.items()
    ]
