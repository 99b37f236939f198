"""The served models: watched, loaded with checks beside the decisions, exchanged between two batches.

The watched directory is a registry, or the folder of a single model. A model takes its role once it is
loaded; one that fails its checks is refused, and the model that has the role keeps it.
"""

import asyncio
import sys
from pathlib import Path
from typing import Any, Final

from fraudsim import metrics
from fraudsim.errors import FraudsimError
from fraudsim.settings import ModelKind
from model.artefact.files import FILES, MANIFEST_FILE, load_model
from model.artefact.model import Model
from model.forest.forest import Forest
from model.registry.aliases import Aliases
from model.registry.versions import ALIASES_FILE, folder_of, is_registry, read_aliases
from scorer.models.roles import ChallengerShare, Roles

LOADING_SWITCH_INTERVAL_S: Final = 0.0005
"""Longest turn of the loading thread, a tenth of the usual: a decision needs several turns in a row."""

FileMark = tuple[int, int]
"""(mtime in ns, inode) of a file: changes when a file is renamed or written into its place."""


class ServedModel:
    """Watches a registry or a model's folder; `roles` is what serves."""

    def __init__(self, directory: Path, log: Any, kind: ModelKind = "full") -> None:
        """Raises FraudsimError where there is no champion that can be served."""
        self._directory = directory
        self._kind = kind
        self._log = log
        self._aliases_mark: FileMark = (0, 0)
        self._loading: asyncio.Task[None] | None = None
        self._refused: dict[str, list[FileMark]] = {}
        """The marks of its files by refused version: once a file changes, loading is tried again."""
        for outcome in ("served", "refused"):
            metrics.MODEL_CHANGES.labels(outcome)
        self._aliases = self._read_aliases()
        champion = self._load(self._aliases.champion)
        self._loaded = {self._aliases.champion: champion}
        self.roles = Roles(champion)
        self._log_scoring_engine(champion)
        self._announce()

    @property
    def model(self) -> Model:
        """The champion."""
        return self.roles.champion

    @property
    def previous(self) -> Model | None:
        """The champion before, if it is loaded: a rollback would then be served at once."""
        return self._loaded.get(self._aliases.previous or "")

    def refresh(self) -> None:
        """Take up what the registry asks for as far as it is loaded; start loading the rest. Never waits."""
        try:
            self._aliases = self._read_aliases()
        except FraudsimError as error:
            self._refuse(error)
        self._assign_roles()
        if self._loading is None:
            missing = next((version for version in self._aliases.versions if self._may_load(version)), None)
            if missing is not None:
                self._loading = asyncio.create_task(self._load_beside(missing))

    async def await_loaded(self) -> None:
        """Wait until nothing is being loaded."""
        while self._loading is not None:
            await asyncio.wait([self._loading])

    # What the registry asks for

    def _read_aliases(self) -> Aliases:
        """The requested roles; a single model is a champion whose version is the mark of its manifest."""
        if not is_registry(self._directory):
            return Aliases(champion="-".join(map(str, _file_mark(self._directory / MANIFEST_FILE))))
        mark = _file_mark(self._directory / ALIASES_FILE)
        if mark == self._aliases_mark:
            return self._aliases
        self._aliases_mark = mark
        return read_aliases(self._directory)

    def _folder(self, version: str) -> Path:
        return folder_of(self._directory, version) if is_registry(self._directory) else self._directory

    # Loading

    def _may_load(self, version: str) -> bool:
        if version in self._loaded:
            return False
        return version not in self._refused or self._refused[version] != self._file_marks(version)

    def _file_marks(self, version: str) -> list[FileMark]:
        return [_file_mark(self._folder(version) / name) for name in FILES]

    def _load(self, version: str) -> Model:
        folder = self._folder(version)
        model = load_model(folder, self._kind)
        if is_registry(self._directory) and model.version != version:
            raise FraudsimError(
                f"model {folder}: it holds version {model.version}; remove it, and put that version again"
            )
        return model

    def _load_yielding(self, version: str) -> Model:
        """Load in a thread that yields the interpreter often, so that decisions go on."""
        usual_s = sys.getswitchinterval()
        sys.setswitchinterval(LOADING_SWITCH_INTERVAL_S)
        try:
            return self._load(version)
        finally:
            sys.setswitchinterval(usual_s)

    async def _load_beside(self, version: str) -> None:
        marks = self._file_marks(version)
        try:
            model = await asyncio.to_thread(self._load_yielding, version)
            self._loaded[version] = model
            self._refused.pop(version, None)
            self._log_scoring_engine(model)
        except Exception as error:
            # A damaged file makes XGBoost raise anything; the serving models must go on.
            self._refused[version] = marks
            self._refuse(error)
        finally:
            self._loading = None
        self.refresh()

    # Serving

    def _assign_roles(self) -> None:
        aliases, loaded = self._aliases, self._loaded
        champion = loaded.get(aliases.champion, self.roles.champion)
        roles = Roles(
            champion,
            tuple(
                ChallengerShare(loaded[alias.version], alias.first, alias.end)
                for alias in aliases.challengers
                if alias.version in loaded and loaded[alias.version] is not champion
            ),
            aliases.salt,
            tuple(
                loaded[version]
                for version in aliases.shadows
                if version in loaded and loaded[version] is not champion
            ),
        )
        self._loaded = {
            version: model
            for version, model in loaded.items()
            if version in aliases.versions or model is champion
        }
        if roles != self.roles:
            self.roles = roles
            metrics.MODEL_CHANGES.labels("served").inc()
            self._announce()
            names = [f"{model.version} {role}" for model, role in roles.by_model()]
            self._log.info("model_served", version=champion.version, roles=names)

    def _announce(self) -> None:
        manifest = self.roles.champion.manifest
        metrics.MODEL_INFO.clear()
        metrics.MODEL_INFO.labels(manifest.version, str(len(manifest.features))).set(1)
        metrics.MODEL_TRAINED.set(manifest.test_from_ms / 1e3)
        metrics.MODEL_ROLE.clear()
        for model, role in self.roles.by_model():
            metrics.MODEL_ROLE.labels(model.version, role).set(1)

    def _log_scoring_engine(self, model: Model) -> None:
        for forest in (model.serving, model.fallback):
            if not isinstance(forest, Forest):
                continue
            if forest.not_compiled is not None:
                self._log.warning("scored_by_xgboost_itself", reason=forest.not_compiled)
            if forest.not_explained is not None:
                self._log.warning("explained_by_xgboost_itself", reason=forest.not_explained)

    def _refuse(self, error: Exception) -> None:
        metrics.MODEL_CHANGES.labels("refused").inc()
        self._log.error("model_refused", reason=str(error), still_serving=self.roles.champion.version)


def _file_mark(path: Path) -> FileMark:
    try:
        stat = path.stat()
    except OSError:
        return (0, 0)
    return (stat.st_mtime_ns, stat.st_ino)
