"""The models being served: loaded with checks beside the decisions, exchanged between two of them.

What is watched is a registry, or a folder that is a single model. Each model takes up its
role once it is loaded; one that fails its checks is refused, and whoever had the role keeps it.
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
from scorer.models.roles import Arm, Lineup

SWITCH_S: Final = 0.0005
"""Longest turn of a thread that loads, a tenth of the usual: who decides has to ask for several in a row."""

Mark = tuple[int, int]
"""Of a file: another one for whatever is renamed or written into its place."""


class ServedModel:
    """Watches a registry or a model's folder; `lineup` is what serves."""

    def __init__(self, directory: Path, log: Any, kind: ModelKind = "full") -> None:
        """Raises FraudsimError where there is no champion that can be served."""
        self._directory = directory
        self._kind = kind
        self._log = log
        self._seen: Mark = (0, 0)
        self._loading: asyncio.Task[None] | None = None
        self._refused: dict[str, list[Mark]] = {}
        """The marks of its files by version: what is put right is tried again."""
        for outcome in ("served", "refused"):
            metrics.MODEL_CHANGES.labels(outcome)
        self._wanted = self._look()
        champion = self._load(self._wanted.champion)
        self._loaded = {self._wanted.champion: champion}
        self.lineup = Lineup(champion)
        self._say_how_it_scores(champion)
        self._announce()

    @property
    def model(self) -> Model:
        """The champion."""
        return self.lineup.champion

    @property
    def previous(self) -> Model | None:
        """The champion before, where a rollback would be served at once."""
        return self._loaded.get(self._wanted.previous or "")

    def look_again(self) -> None:
        """Take up what is wanted as far as it is loaded, and have what is missing loaded; never waits."""
        try:
            self._wanted = self._look()
        except FraudsimError as error:
            self._refuse(error)
        self._arrange()
        if self._loading is None:
            missing = next((each for each in self._wanted.versions if self._may_load(each)), None)
            if missing is not None:
                self._loading = asyncio.create_task(self._load_beside(missing))

    async def settled(self) -> None:
        """Wait until nothing is being loaded."""
        while self._loading is not None:
            await asyncio.wait([self._loading])

    # What is wanted

    def _look(self) -> Aliases:
        """Who is to do what; a single model is a champion whose version is its file's mark."""
        if not is_registry(self._directory):
            return Aliases(champion="-".join(map(str, _mark(self._directory / MANIFEST_FILE))))
        mark = _mark(self._directory / ALIASES_FILE)
        if mark == self._seen:
            return self._wanted
        self._seen = mark
        return read_aliases(self._directory)

    def _folder(self, version: str) -> Path:
        return folder_of(self._directory, version) if is_registry(self._directory) else self._directory

    # Loading

    def _may_load(self, version: str) -> bool:
        if version in self._loaded:
            return False
        return version not in self._refused or self._refused[version] != self._marks(version)

    def _marks(self, version: str) -> list[Mark]:
        return [_mark(self._folder(version) / name) for name in FILES]

    def _load(self, version: str) -> Model:
        folder = self._folder(version)
        model = load_model(folder, self._kind)
        if is_registry(self._directory) and model.version != version:
            raise FraudsimError(
                f"model {folder}: it holds version {model.version}; remove it, and put that version again"
            )
        return model

    def _load_patiently(self, version: str) -> Model:
        """In a thread, which lets those who decide have their turn."""
        usual = sys.getswitchinterval()
        sys.setswitchinterval(SWITCH_S)
        try:
            return self._load(version)
        finally:
            sys.setswitchinterval(usual)

    async def _load_beside(self, version: str) -> None:
        marks = self._marks(version)
        try:
            model = await asyncio.to_thread(self._load_patiently, version)
            self._loaded[version] = model
            self._refused.pop(version, None)
            self._say_how_it_scores(model)
        except Exception as error:
            # Whatever a file makes XGBoost say: those who serve go on.
            self._refused[version] = marks
            self._refuse(error)
        finally:
            self._loading = None
        self.look_again()

    # Serving

    def _arrange(self) -> None:
        wanted, loaded = self._wanted, self._loaded
        champion = loaded.get(wanted.champion, self.lineup.champion)
        lineup = Lineup(
            champion,
            tuple(
                Arm(loaded[each.version], each.first, each.end)
                for each in wanted.challengers
                if each.version in loaded and loaded[each.version] is not champion
            ),
            wanted.salt,
            tuple(loaded[each] for each in wanted.shadows if each in loaded and loaded[each] is not champion),
        )
        self._loaded = {
            version: model
            for version, model in loaded.items()
            if version in wanted.versions or model is champion
        }
        if lineup != self.lineup:
            self.lineup = lineup
            metrics.MODEL_CHANGES.labels("served").inc()
            self._announce()
            roles = [f"{model.version} {role}" for model, role in lineup.roles()]
            self._log.info("model_served", version=champion.version, roles=roles)

    def _announce(self) -> None:
        manifest = self.lineup.champion.manifest
        metrics.MODEL_INFO.clear()
        metrics.MODEL_INFO.labels(manifest.version, str(len(manifest.features))).set(1)
        metrics.MODEL_TRAINED.set(manifest.test_from_ms / 1e3)
        metrics.MODEL_ROLE.clear()
        for model, role in self.lineup.roles():
            metrics.MODEL_ROLE.labels(model.version, role).set(1)

    def _say_how_it_scores(self, model: Model) -> None:
        for forest in (model.serving, model.fallback):
            if not isinstance(forest, Forest):
                continue
            if forest.not_compiled is not None:
                self._log.warning("scored_by_xgboost_itself", reason=forest.not_compiled)
            if forest.not_explained is not None:
                self._log.warning("explained_by_xgboost_itself", reason=forest.not_explained)

    def _refuse(self, error: Exception) -> None:
        metrics.MODEL_CHANGES.labels("refused").inc()
        self._log.error("model_refused", reason=str(error), still_serving=self.lineup.champion.version)


def _mark(path: Path) -> Mark:
    try:
        stat = path.stat()
    except OSError:
        return (0, 0)
    return (stat.st_mtime_ns, stat.st_ino)
