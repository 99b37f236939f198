"""`fraudsim simulate`: a history goes on under a regime, and everything is written as a run's archive."""

import json
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec

from fraudsim.errors import FraudsimError
from fraudsim.settings import Settings
from fraudsim.whole_files import write_whole
from model.artefact.files import load_model
from producers.history.manifest import HistoryOrigin
from producers.history.reader import read_history
from producers.history.tables import Tables
from producers.history.writer import write_tables
from producers.world.settings import consequences
from scorer.models.arms import Arm
from scorer.policy.file import SHIPPED, load_policy
from scorer.policy.policy import Variant
from scorer.policy.store import put
from simulator.archive.tables import ServedBy
from simulator.archive.writer import ArchiveWriter
from simulator.line.line import SimulatedLine
from simulator.line.scoring import Scoring, ScoringArm
from simulator.line.traffic import SimulatedTraffic, traffic_of
from simulator.regimes import REGIMES, Regime
from simulator.summary import Figures, ledger_content, versions
from simulator.training import train_under

Say = Callable[[str], None]


@dataclass(frozen=True)
class SimulationPlan:
    """What is simulated."""

    history: Path
    regime: Regime
    out: Path
    days: int = 28
    model: Path | None = None
    """None: trained on the history."""
    skewed: bool = False
    """Whether the model is trained on fresh features, whatever the regime serves."""
    policy: Path | None = None
    seed: int | None = None
    """Of replies and verdicts; None: the world's."""
    reacting: bool = False
    vectors: bool = True
    """Whether decisions have their vectors, log prefixes and reasons."""


def simulate(plan: SimulationPlan, settings: Settings, say: Say = lambda _: None) -> dict[str, Any]:
    """Simulate, write the run's folder, return the content of `summary.json`.

    Raises:
        FraudsimError: the history, model or policy cannot be used, `out` exists, or the disk is full.
    """
    if plan.out.exists():
        raise FraudsimError(f"--out {plan.out} exists: name a folder that does not")
    history = read_history(plan.history)
    traffic = traffic_of(history, plan.days)
    if plan.seed is not None:
        traffic = replace(traffic, seed=plan.seed)
    if plan.reacting and traffic.world is None:
        raise FraudsimError("--reacting needs a world: a public file has no campaigns")
    if plan.regime.features == "all" and plan.model is None:
        _check_not_trained_on(traffic)
    try:
        plan.out.mkdir(parents=True)
        return _simulate(plan, traffic, settings, say)
    except OSError as error:
        raise FraudsimError(f"--out {error.filename or plan.out}: {error.strerror or error}") from None


def _check_not_trained_on(traffic: SimulatedTraffic) -> None:
    if traffic.world is None:
        raise FraudsimError(
            f"history {traffic.history.directory} of a public file: its last days are simulated, and a model "
            "must not have seen them; name one by --model that was trained on the days before"
        )


def _simulate(
    plan: SimulationPlan, traffic: SimulatedTraffic, settings: Settings, say: Say
) -> dict[str, Any]:
    out, regime = plan.out, plan.regime
    _put_history(out / "history", traffic)
    scoring = _scoring(plan, settings, say)
    policy = load_policy(out / "policy")
    served_by = ServedBy("none", policy.version, "none")
    if scoring is not None:
        served_by = ServedBy(scoring.arm.model_version, policy.version, scoring.arm.variant)
    writer = ArchiveWriter(out, regime, scoring, served_by, settings, vectors=plan.vectors)
    line = SimulatedLine(traffic, regime, scoring, consequences(settings), reacting=plan.reacting)
    writer.start(traffic.history, traffic.start_ms, traffic.seed)
    figures = Figures()
    began, began_cpu = time.perf_counter(), time.process_time()
    for decided in line.run():
        writer.write(decided)
        figures.add(decided)
        say(f"{figures.decided:,} decisions")
    seconds, cpu = time.perf_counter() - began, time.process_time() - began_cpu
    summary = {
        **figures.content(),
        "ledger": ledger_content(line.ledger),
        "seconds": round(seconds, 3),
        "throughput_tps": round(figures.decided / seconds, 1),
        "decisions_per_second": round(figures.decided / seconds, 1),
        "decisions_per_cpu_second": round(figures.decided / cpu, 1),
        "regime": regime.name,
        "period_ms": regime.period_ms,
        "delay_ms": regime.delay_ms,
        "mean_staleness_ms": regime.mean_staleness_ms,
        "training": "given" if plan.model else "skewed" if plan.skewed else "matched",
        "days": plan.days,
        "reactions": line.reactions,
        "labels": {"decisions": line.consequences, **line.counts},
        "model": served_by.model_version,
        "policy": served_by.policy_version,
        "versions": versions(),
    }
    write_whole(out / "ledger.json", msgspec.json.format(msgspec.json.encode(line.ledger), indent=2) + b"\n")
    write_whole(out / "summary.json", json.dumps(summary, indent=2) + "\n")
    return summary


def _put_history(folder: Path, traffic: SimulatedTraffic) -> None:
    """What came before the run: the history itself, or of a file's history the days that are not decided."""
    history = traffic.history
    if traffic.world is not None:
        folder.symlink_to(history.directory.resolve(), target_is_directory=True)
        return
    manifest, end_ms = history.manifest, traffic.start_ms
    before = Tables(traffic.past, traffic.labels_before, history.truth().slice(0, traffic.past.num_rows))
    origin = HistoryOrigin(
        source=manifest.source, version=manifest.version, config={**manifest.config, "split_ms": end_ms},
        seed=manifest.seed, start_ms=manifest.start_ms, end_ms=end_ms, cards=manifest.cards,
    )  # fmt: skip
    write_tables(folder, [before], origin)


def _scoring(plan: SimulationPlan, settings: Settings, say: Say) -> Scoring | None:
    """Put model and policy into the run's folder; the arm that decides, None without a model."""
    put(plan.policy or settings.policy or SHIPPED, plan.out / "policy")
    if plan.regime.features == "none":
        return None
    folder = plan.out / "model"
    if plan.model is not None:
        shutil.copytree(plan.model, folder)
    else:
        say("training the model")
        train_under(REGIMES["real-time"] if plan.skewed else plan.regime, plan.history, folder, settings)
    return scoring_of(folder, plan.regime, plan.out / "policy")


def scoring_of(model: Path, regime: Regime, policy: Path) -> Scoring:
    """The arm of a model that decides under a regime: its fallback where that looks at the request alone.

    Raises:
        FraudsimError: model or policy cannot be used.
    """
    arm_variant: Variant = "fallback" if regime.features == "request" else "champion"
    arm = Arm.of(load_model(model), arm_variant, challenging=False)
    scoring_arm = ScoringArm(arm.forest, arm.thresholds, arm.calibration, arm.model.version, arm.variant)
    return Scoring(scoring_arm, load_policy(policy), arm_variant)
