"""The built wheel, installed without the checkout: commands find each file that is not Python."""

import os
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from producers.history.writer import write_history
from producers.world.config import WorldConfig
from producers.world.world import World

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PACKAGES = [name.rstrip("*") for name in PROJECT["tool"]["setuptools"]["packages"]["find"]["include"]]

Fraudsim = Callable[..., str]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in PACKAGES:
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__", "*.nb[ic]"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel", "--quiet"]
    subprocess.run([*pip, "--no-deps", "--no-build-isolation", "-w", str(out), str(source)], check=True)
    (built,) = out.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def fraudsim(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Fraudsim:
    """Runs the console script where this wheel and the dependencies are installed, but not the checkout."""
    folder = tmp_path_factory.mktemp("installed")
    venv.create(folder / "venv", with_pip=False)
    programs = folder / "venv" / "bin"
    site = Path(sysconfig.get_path("purelib", vars={"base": str(folder / "venv")}))
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    install = ["install", "--quiet", "--no-deps", "--no-index", "--ignore-installed", str(wheel)]
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", str(programs / "python")]
    subprocess.run([*pip, *install], check=True)
    env = {**os.environ, "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"}
    env.pop("PYTHONPATH", None)

    def run(*words: str | Path, program: str = "fraudsim") -> str:
        argv = [str(programs / program), *map(str, words)]
        done = subprocess.run(
            argv, env=env, cwd=folder, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


def test_every_file_of_the_packages_is_in_the_wheel(wheel):
    # Grafana and Prometheus read theirs from the checkout.
    outside = {"dashboards"}
    tracked = subprocess.run(
        ["git", "ls-files", *(set(PACKAGES) - outside)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if tracked.returncode:
        pytest.skip("not a git checkout: it cannot be told which files belong to it")
    assert set(tracked.stdout.split()) <= set(zipfile.ZipFile(wheel).namelist())


def test_it_is_the_wheel_that_runs(fraudsim):
    told = fraudsim("-c", "import fraudsim, testing; print(fraudsim.__file__)", program="python")
    assert "site-packages" in told
    assert str(ROOT) not in told


def test_the_schemas_of_the_events_are_there(fraudsim):
    assert "up to date" in fraudsim("schemas", "--check")


def test_the_shipped_policy_is_there_and_can_be_served(fraudsim):
    shipped = fraudsim("-c", "from scorer.policy.file import SHIPPED; print(SHIPPED)", program="python")
    assert "site-packages" in shipped
    assert "velocity" in fraudsim("policy", "check", shipped.strip())


def test_the_pinned_jars_start_a_stack_and_the_fence_is_there_to_prime_it(fraudsim, tmp_path):
    write_history(tmp_path / "history", World(WorldConfig(cards=20, seed=1)), 3)
    follow = f"fraudsim topics && fraudsim clock start --history {tmp_path}/history"
    prime = f"fraudsim features prime --history {tmp_path}/history && fraudsim features inspect card c0000001"
    assert "primed" in fraudsim("stack", "run", "--", "sh", "-c", f"{follow} && {prime}")
