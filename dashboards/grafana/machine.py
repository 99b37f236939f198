"""The board of the machine: each process's resources. From /proc, so empty on macOS without Docker."""

from grafana_foundation_sdk.models import units
from grafana_foundation_sdk.models.dashboard import Dashboard

from dashboards.grafana.panels import board, series

_PROCESS = "{{job}} {{instance}}"


def make_board() -> Dashboard:
    rows = [
        series(
            "Processor time",
            ("rate(process_cpu_seconds_total[$__rate_interval])", _PROCESS),
            about="Cores in use.",
            width=12,
            stacked=True,
        ),
        series(
            "Memory",
            ("process_resident_memory_bytes", _PROCESS),
            unit=units.BytesIEC,
            about="Resident. Compose gives each process 1 GiB.",
            width=12,
        ),
        series(
            "Redis memory",
            ("max(fraudsim_redis_memory_bytes)", "used"),
            ("max(fraudsim_redis_max_memory_bytes)", "limit, 0 for none"),
            unit=units.BytesIEC,
            about="At its limit Redis refuses writes, and nothing is folded.",
        ),
        series(
            "File descriptors",
            ("process_open_fds / process_max_fds", _PROCESS),
            unit=units.PercentUnit,
            about="Of those allowed.",
        ),
        series(
            "Garbage collections",
            (
                "sum by (job, instance, generation) (rate(python_gc_collections_total[$__rate_interval]))",
                f"{_PROCESS} generation {{{{generation}}}}",
            ),
            unit=units.OpsPerSecond,
            about="A full one (generation 2) stops the process for tens of milliseconds.",
        ),
        series("Up for", ("time() - process_start_time_seconds", _PROCESS), unit=units.DurationSeconds),
    ]
    about = "What each process takes of the machine."
    return board("fraudsim-machine", "Machine", about, [("Processes", rows)])
