"""The model being served: loaded with checks, exchanged between two decisions, never for a worse file."""

from pathlib import Path
from typing import Any

from fraudsim import metrics
from fraudsim.errors import FraudsimError
from fraudsim.settings import ModelKind
from model.artefact import Model, load_model
from model.forest import Forest


class ServedModel:
    """Watches a model folder. A new artefact that fails its checks is refused and the served one stays."""

    def __init__(self, directory: Path, log: Any, kind: ModelKind = "full") -> None:
        self._directory = directory
        self._kind = kind
        self._log = log
        self._seen = self._mark()
        self.model: Model = load_model(directory, kind)
        self._announce()

    def _mark(self) -> tuple[int, int]:
        try:
            stat = (self._directory / "manifest.json").stat()
        except FileNotFoundError:
            return (0, 0)
        return (stat.st_mtime_ns, stat.st_ino)

    def _announce(self) -> None:
        for forest in (self.model.serving, self.model.fallback):
            if not isinstance(forest, Forest):
                continue
            if forest.not_compiled is not None:
                self._log.warning("scored_by_xgboost_itself", reason=forest.not_compiled)
            if forest.not_explained is not None:
                self._log.warning("explained_by_xgboost_itself", reason=forest.not_explained)
        manifest = self.model.manifest
        metrics.MODEL_INFO.clear()
        metrics.MODEL_INFO.labels(manifest.version, str(len(manifest.features))).set(1)
        metrics.MODEL_TRAINED.set(manifest.test_from_ms / 1e3)

    def look_again(self) -> None:
        """Load the folder's artefact if it has changed."""
        mark = self._mark()
        if mark == self._seen:
            return
        self._seen = mark
        try:
            self.model = load_model(self._directory, self._kind)
        except FraudsimError as error:
            self._log.error("model_refused", reason=str(error), still_serving=self.model.manifest.version)
            return
        self._announce()
        self._log.info("model_served", version=self.model.manifest.version)
