"""`fraudsim load bill`: what rates would take, from the steps of a measured capacity."""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from fraudsim.errors import FraudsimError
from fraudsim.whole_files import write_whole
from load_tests.load.bill.utilisation import (
    CostStep,
    ProcessFit,
    fit_processes,
    predicted_capacity,
    processes_needed,
)

HALF: Final = 0.5
FORMAT: Final = 1
RESULT_FILE: Final = "result.json"
Say = Callable[[str], None]


def run_bill(capacity: Path, out: Path, rates: Sequence[float], say: Say) -> int:
    """Write the bill, and print it; returns the exit code.

    Raises:
        FraudsimError: the folder holds no measured capacity with costs, or `out` cannot be written.
    """
    measured = _read_capacity(capacity)
    steps = cost_steps(measured)
    usable = [step for step in steps if step.rate <= HALF * measured["rate"]]
    if not usable:
        raise FraudsimError(
            f"{capacity}: no step with costs below half of {measured['rate']:g}/s; run it again with --run "
            "DIR and a lower --first"
        )
    bill = bill_of(fit_processes(usable), measured, rates, os.cpu_count() or 1, max(s.rate for s in usable))
    try:
        out.mkdir(parents=True, exist_ok=True)
        write_whole(out / RESULT_FILE, msgspec.json.format(msgspec.json.encode(bill), indent=2) + b"\n")
    except OSError as error:
        raise FraudsimError(f"--out {out}: {error.strerror}") from None
    check = bill["check"]
    say(
        f"predicted capacity {check['predicted']:,.0f}/s by {check['limit']}, measured "
        f"{check['measured']:,.0f}: {check['error']:+.0%}"
    )
    for line in bill["rates"]:
        mark = " (extrapolated)" if line["extrapolated"] else ""
        counts = ", ".join(f"{n} {name}" for name, n in line["processes"].items() if n > 1)
        say(
            f"{line['rate']:,.0f}/s{mark}: {line['cores']:,.1f} cores, {line['memory_mb']:,.0f} MB; "
            f"{counts or 'one process each'}"
        )
    return 0


def _read_capacity(folder: Path) -> dict[str, Any]:
    path = folder / RESULT_FILE
    try:
        result: dict[str, Any] = msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
    except (OSError, msgspec.DecodeError) as error:
        raise FraudsimError(f"{path}: {error}; name the --out folder of `fraudsim load capacity`") from None
    if result.get("kind") != "capacity" or result.get("format") != FORMAT:
        raise FraudsimError(f"{path}: no capacity of this version; run `fraudsim load capacity` again")
    if not result.get("rate"):
        raise FraudsimError(f"{path}: no capacity was measured: {result.get('why')}")
    return result


def cost_steps(capacity: Mapping[str, Any]) -> list[CostStep]:
    """The costs of each step of a capacity, at the rate that was answered."""
    steps = []
    for step in capacity["steps"]:
        costs = step.get("costs") or {}
        processes = costs.get("processes") or {}
        if not processes or not costs.get("seconds"):
            continue
        steps.append(
            CostStep(
                costs["transactions"] / costs["seconds"],
                {name: cost["core_share"] for name, cost in processes.items()},
                {name: cost["memory_mb"] for name, cost in processes.items()},
            )
        )
    return steps


def bill_of(
    fits: Sequence[ProcessFit],
    capacity: Mapping[str, Any],
    rates: Sequence[float],
    cores: int,
    highest_fitted: float,
) -> dict[str, Any]:
    """The content of the bill."""
    predicted, limit = predicted_capacity(fits, cores)
    return {
        "format": FORMAT,
        "kind": "bill",
        "fits": {
            fit.name: {
                "fixed_core_share": round(fit.fixed_share, 4),
                "marginal_us": round(fit.marginal_us, 2),
                "memory_mb": round(fit.memory_mb, 1),
            }
            for fit in fits
        },
        "fitted_up_to": round(highest_fitted, 1),
        "check": {
            "predicted": round(predicted, 1),
            "limit": limit,
            "measured": capacity["rate"],
            "error": round(predicted / capacity["rate"] - 1, 4),
        },
        "rates": [
            {
                "rate": rate,
                "extrapolated": rate > highest_fitted,
                "cores": round(sum(fit.core_share(rate) for fit in fits), 2),
                "processes": {fit.name: processes_needed(fit, rate) for fit in fits},
                "memory_mb": round(sum(fit.memory_mb * processes_needed(fit, rate) for fit in fits), 1),
            }
            for rate in rates
        ],
    }
