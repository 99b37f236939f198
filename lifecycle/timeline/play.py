"""Playing a timeline: a line with the detector and the retrainer, while its script is played."""

from pathlib import Path

import msgspec
import yaml

from fraudsim.errors import FraudsimError
from fraudsim.settings import Settings
from fraudsim.whole_files import write_whole
from lifecycle.timeline.assemble import timeline_of
from lifecycle.timeline.plan import HISTORY, TimelinePlan
from lifecycle.timeline.plot import timeline_svg
from lifecycle.timeline.result import Timeline
from producers.world.settings import world_config
from producers.world.world import World
from runner.line.demo import run_demo
from runner.line.options import LineOptions

TIMELINE_FILE, PLOT_FILE, SCRIPT_FILE = "timeline.json", "timeline.svg", "script.yaml"


def play(out: Path, plan: TimelinePlan, settings: Settings) -> Timeline:
    """Run the line unless it has run, then write `timeline.json` and `timeline.svg`.

    Raises:
        FraudsimError: a program or port is missing, a part was given up, or a file cannot be written.
    """
    world = {**settings.world, **HISTORY}
    settings = settings.model_copy(update={"world": world})
    run = out / "run"
    if not (run / "summary.json").exists():
        if run.exists():
            raise FraudsimError(f"--out {out}: the run in it has not ended; remove it, or name another")
        try:
            run.mkdir(parents=True)
            script = yaml.safe_dump(msgspec.to_builtins(plan.script()), sort_keys=False)
            (out / SCRIPT_FILE).write_text(script)
        except OSError as error:
            raise FraudsimError(f"--out {out}: {error.strerror}; name a folder that can be written") from None
        run_demo(options_of(out, plan, settings), settings)
    timeline = timeline_of(run, plan, settings)
    write_whole(out / TIMELINE_FILE, msgspec.json.format(msgspec.json.encode(timeline), indent=1) + b"\n")
    write_whole(out / PLOT_FILE, timeline_svg(timeline))
    return timeline


def options_of(out: Path, plan: TimelinePlan, settings: Settings) -> LineOptions:
    """The run of a plan."""
    return LineOptions(
        run_dir=(out / "run").absolute(),
        seconds=plan.seconds(World(world_config(settings, plan.cards))),
        rate=plan.rate,
        cards=plan.cards,
        history_days=plan.history_days,
        script=(out / SCRIPT_FILE).absolute(),
        retrain_on=("drift",),
        promote_after="7d",
        null_seconds=0,
    )
