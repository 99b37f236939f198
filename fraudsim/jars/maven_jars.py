"""Jars from Maven, pinned by SHA-256: downloaded once, verified at first use and after any change of a file.

A first start fetches only the pinned jars, in parallel, without dependency resolution.
"""

import fcntl
import hashlib
import json
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fraudsim.errors import FraudsimError
from fraudsim.jars.download_progress import DownloadProgress, download_progress
from fraudsim.jars.pins import PinnedJar
from fraudsim.process.disk import explain_disk_errors, require_free_disk
from fraudsim.whole_files import resumed_folder, write_whole

_STAMP = "verified.json"
_ATTEMPTS = 3
_CONNECTIONS = 6
_TIMEOUT_S = 30


def ensure_jars(pins: list[PinnedJar], folder: Path, label: str) -> list[Path]:
    """Make sure that `folder` holds exactly the pinned jars; download them if it does not exist yet.

    Later calls compare sizes and times, and hash only the files that changed. Two processes may call this at
    the same time: one downloads, the other waits for it.

    Returns:
        The jars' paths, in the order of the pins.

    Raises:
        FraudsimError: a download failed, the disk is full, or a jar is missing, altered or not pinned.
    """
    if not folder.exists():
        require_free_disk(folder)
        with explain_disk_errors(folder):
            folder.parent.mkdir(parents=True, exist_ok=True)
            with _locked(folder.with_name(folder.name + ".lock")):
                if not folder.exists():
                    _download_all(pins, folder, label)
    _verify(pins, folder)
    return [folder / pin.name for pin in pins]


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _download_all(pins: list[PinnedJar], folder: Path, label: str) -> None:
    # An interrupted download leaves verified jars, so that the next attempt fetches only the missing ones.
    with resumed_folder(folder) as partial:
        missing = [pin for pin in pins if not (partial / pin.name).exists()]
        with (
            download_progress(label, len(missing)) as progress,
            ThreadPoolExecutor(_CONNECTIONS) as pool,
        ):
            downloads = [pool.submit(_download, pin, partial, progress) for pin in missing]
            try:
                for download in downloads:
                    download.result()
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
        _write_stamp(pins, partial)
    progress.finished()


def _download(pin: PinnedJar, folder: Path, progress: DownloadProgress) -> None:
    for attempt in range(1, _ATTEMPTS + 1):
        with tempfile.TemporaryDirectory(dir=folder, prefix="download-") as scratch:
            try:
                with explain_disk_errors(folder):
                    jar = _fetch(pin, Path(scratch), progress)
            except (OSError, RuntimeError) as error:
                if attempt < _ATTEMPTS:
                    continue
                cause = "not found" if isinstance(error, RuntimeError) else type(error).__name__
                raise FraudsimError(
                    f"cannot download {pin.name} ({cause}): check the network, or name a "
                    "mirror as `central` under [repositories] in jgo's configuration file, then try again"
                ) from None
            actual_sha256 = _sha256(jar)
            if actual_sha256 == pin.sha256:
                jar.replace(folder / pin.name)
                progress.jar_done()
                return
    raise FraudsimError(
        f"{pin.name} was downloaded with SHA-256 {actual_sha256}, not the committed {pin.sha256}: "
        "check the Maven mirror in jgo's configuration file; nothing of it was kept"
    )


def _fetch(pin: PinnedJar, scratch: Path, progress: DownloadProgress) -> Path:
    from jgo.config import GlobalSettings
    from jgo.constants import MAVEN_CENTRAL_URL
    from jgo.maven import MavenContext, PythonResolver

    context = MavenContext(
        resolver=PythonResolver(progress_callback=progress.file),
        repo_cache=scratch,
        remote_repos={"central": MAVEN_CENTRAL_URL, **GlobalSettings.load().repositories},
        timeout=_TIMEOUT_S,
    )
    group, artifact, version, classifier = pin.coordinate
    component = context.project(group, artifact).at_version(version)
    return Path(component.artifact(classifier=classifier, packaging="jar").resolve())


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _size_and_mtime(path: Path) -> list[int]:
    stat = path.stat()
    return [stat.st_size, stat.st_mtime_ns]


def _write_stamp(pins: list[PinnedJar], folder: Path) -> None:
    stamp = {pin.name: [pin.sha256, *_size_and_mtime(folder / pin.name)] for pin in pins}
    write_whole(folder / _STAMP, json.dumps(stamp, indent=1))


def _read_stamp(folder: Path) -> dict[str, Any]:
    try:
        stamp: dict[str, Any] = json.loads((folder / _STAMP).read_text())
    except (OSError, ValueError):
        return {}
    return stamp


def _verify(pins: list[PinnedJar], folder: Path) -> None:
    next_step = f"delete the folder {folder} and run the same command again to download it anew"
    unpinned = {path.name for path in folder.glob("*.jar")} - {pin.name for pin in pins}
    if unpinned:
        raise FraudsimError(f"{folder / min(unpinned)} is not among the committed jars: {next_step}")
    stamp = _read_stamp(folder)
    is_stamp_stale = False
    for pin in pins:
        jar = folder / pin.name
        if not jar.is_file():
            raise FraudsimError(f"{jar} is missing: {next_step}")
        if stamp.get(pin.name) == [pin.sha256, *_size_and_mtime(jar)]:
            continue
        actual_sha256 = _sha256(jar)
        if actual_sha256 != pin.sha256:
            raise FraudsimError(
                f"{jar} has SHA-256 {actual_sha256}, not the committed {pin.sha256}: {next_step}"
            )
        is_stamp_stale = True
    if is_stamp_stale:
        with explain_disk_errors(folder):
            _write_stamp(pins, folder)
