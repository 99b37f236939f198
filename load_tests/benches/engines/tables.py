"""A report of `bench engines` as the tables of docs/benchmarks.md, and where each engine ends, by arithmetic.

`python -m load_tests.benches.engines.tables engines.json` prints them.
"""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from load_tests.benches.engines.contestants import FOLDING, FRESH, Contestant
from load_tests.benches.engines.spark_tasks import TASKS

Result = Mapping[str, Any]
WORKERS: Final = (1, 2, 4)
"""Of Faust, for which the arithmetic gives a rate."""


def tables(report: Mapping[str, Any]) -> str:
    """Markdown of what a report holds; contestants that it lacks are left out."""
    results = {result["name"]: result for result in report["results"]}
    parts = [_folding(results), _freshness(results), "\n".join(limits(results))]
    return "\n\n".join(part for part in parts if part)


def _folding(results: Mapping[str, Result]) -> str:
    rows = [
        [_words(c), f"{r['value']:,}", *(f"{r[key]:.1f}" for key in ("cpu_us", "redis_us", "kafka_us"))]
        for c, r in _measured(FOLDING, results)
    ]
    rows += [
        [name[0].upper() + name[1:], "", f"{results[name]['value']:.1f}", "", ""]
        for name in TASKS
        if name in results
    ]
    header = ["contestant", "transactions/s", "CPU µs a transaction", "Redis µs", "Kafka µs"]
    return _markdown(header, rows)


def _freshness(results: Mapping[str, Result]) -> str:
    rows = [
        [
            _words(c), *(f"{r[key]:,}" for key in ("value", "p99_ms", "max_ms")), f"{r['cpu_us']:,.1f}",
            f"{r['memory_mib']:,}",
        ]
        for c, r in _measured(FRESH, results)
    ]  # fmt: skip
    header = ["folded by", "age p50 ms", "p99 ms", "most ms", "CPU µs a transaction", "memory MiB"]
    return _markdown(header, rows)


def _measured(
    contestants: Sequence[Contestant], results: Mapping[str, Result]
) -> list[tuple[Contestant, Result]]:
    return [(c, results[c.name]) for c in contestants if c.name in results]


def _words(contestant: Contestant) -> str:
    return contestant.name[0].upper() + contestant.name[1:]


def _markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    if not rows:
        return ""
    rule = ["---", *("---:" for _ in header[1:])]
    return "\n".join("| " + " | ".join(row) + " |" for row in (header, rule, *rows))


def limits(results: Mapping[str, Result]) -> Iterator[str]:
    """Sentences on what is shared and what is repeated, and the rates at which cores are full."""
    workers = [(c.workers, r["cpu_us"]) for c, r in _measured(FOLDING, results) if c.trigger is None]
    if len(workers) > 1:
        counts, costs = np.array(workers, dtype=float).T
        repeated_us, shared_us = np.polyfit(counts, costs, 1)
        yield (
            f"- Each further Faust worker adds {repeated_us:.1f} µs a transaction; {shared_us:.1f} µs are "
            "shared among them."
        )
        rates = [f"{1e6 / (repeated_us + shared_us / count):,.0f}/s" for count in WORKERS]
        yield (
            f"- Faust workers with a core each: {', '.join(rates)} by {', '.join(map(str, WORKERS))}; never "
            f"more than {1e6 / repeated_us:,.0f}/s."
        )
    accept, fold = (results.get(name) for name in TASKS)
    if accept and fold:
        yield (
            f"- Spark: acceptance ends at {1e6 / accept['value']:,.0f}/s for each Kafka partition, folding "
            f"at {1e6 / fold['value']:,.0f}/s for each process that folds slots."
        )
        alone_us = accept["value"] + fold["value"]
        added = [
            f"{r['cpu_us'] - alone_us:.0f} ({c.name.removeprefix('spark, ')})"
            for c, r in _measured(FOLDING, results)
            if c.trigger
        ]
        if added:
            yield f"- Spark itself adds, in µs a transaction: {', '.join(added)}."
    redis_us = [r["redis_us"] for _, r in _measured(FOLDING, results)]
    if redis_us:
        yield f"- One Redis ends at {1e6 / max(redis_us):,.0f} to {1e6 / min(redis_us):,.0f}/s."


if __name__ == "__main__":
    print(tables(json.loads(Path(sys.argv[1]).read_text())))
