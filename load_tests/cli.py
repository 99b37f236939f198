"""`fraudsim bench`: benchmarks that run beside a rival and write JSON; `fraudsim load` is `load_cli`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from fraudsim.errors import FraudsimError
from load_tests.load_cli import load

app = typer.Typer()
bench = typer.Typer(no_args_is_help=True, help="Benchmarks against peers; each writes JSON.")
app.add_typer(bench, name="bench")
app.add_typer(load, name="load")


def writable(param: typer.CallbackParam, path: Path | None) -> Path | None:
    """Check before a benchmark, not after it, that its report can be written; what is there stays.

    Raises:
        FraudsimError: it cannot; the message names the option and the file.
    """
    if path is not None:
        is_new = not path.exists()
        try:
            path.open("ab").close()
            if is_new:
                path.unlink()
        except OSError as error:
            raise FraudsimError(
                f"{param.opts[0]} {path}: {error.strerror}; name a file that can be written"
            ) from None
    return path


Json = Annotated[Path, typer.Option("--json", callback=writable, help="file to write the report into")]


@bench.callback()
def benchmarks() -> None:
    """Benchmarks against peers; each writes JSON."""


@bench.command()
def world(
    json: Json,
    cards: Annotated[int, typer.Option("--cards", min=1, help="cards, and customers of the rival")] = 5000,
    days: Annotated[int, typer.Option("--days", min=1, help="days of transactions")] = 30,
    turns: Annotated[int, typer.Option("--turns", min=1, help="turns of each contestant")] = 3,
    workers: Annotated[
        int, typer.Option("--workers", min=1, help="measure also with this many processes, if more than 1")
    ] = 1,
) -> None:
    """Measure the world's generator beside the Fraud Detection Handbook's algorithm."""
    from load_tests.benches.producers.world import bench_world

    report = bench_world(cards, days, turns, workers)
    _write(json, report)
    ours, rival, *with_workers = report["results"]
    line = (
        f"world: {ours['value']:,} tx/s to Parquet on one core, the Handbook's algorithm "
        f"{rival['value']:,}: {report['ratios']['handbook']:.1f} times as fast"
    )
    for result in with_workers:
        ratio = report["ratios"]["one_worker"]
        line += f"; {workers} workers {result['value']:,}, {ratio:.2f} times one"
    typer.echo(f"{line} ({json})")


@bench.command()
def scorer(
    json: Json,
    model: Annotated[
        Path | None,
        typer.Option("--model", help="folder of a model  [default: one trained on a small synthetic world]"),
    ] = None,
    turns: Annotated[int, typer.Option("--turns", min=1, help="turns of each contestant")] = 5,
) -> None:
    """Measure the compiled trees beside XGBoost, ONNX Runtime and Treelite, for 1, 16 and 512 rows."""
    from load_tests.benches.scorer.trees import bench_trees

    report = bench_trees(model, turns)
    _write(json, report)
    value = {(result["name"], result["rows"]): result["value"] for result in report["results"]}
    comparison = ", ".join(
        f"{n} row{'s' * (n > 1)} in {value['fraudsim', n]:g} µs against {value['inplace_predict', n]:g}"
        for name, n in value
        if name == "fraudsim"
    )
    explain_us = {result["name"]: result["value"] for result in report["reasons"]["results"]}
    typer.echo(
        f"scorer: the compiled walk scores {comparison} by inplace_predict, equal to the bit; "
        f"1 row explained in {explain_us['fraudsim']:g} µs against {explain_us['pred_contribs']:g} ({json})"
    )
    for name in report["configuration"]["left_out"]:
        typer.echo(
            f"{name} is left out: it is not installed here; "
            "run `make setup-bench-http`, then .venv-bench-http/bin/fraudsim bench scorer"
        )


@bench.command()
def sender(
    json: Json,
    rate: Annotated[list[int] | None, typer.Option(min=1, help="tx/s  [default: 1000 and 5000]")] = None,
    tick: Annotated[
        list[int] | None,
        typer.Option(min=1, max=100, help="ms, for kafka-python at the first rate  [default: 5, 10 and 15]"),
    ] = None,
    seconds: Annotated[float, typer.Option("--seconds", min=0.5, help="seconds of traffic a turn")] = 6.0,
    turns: Annotated[int, typer.Option("--turns", min=1, help="turns of each contestant")] = 1,
) -> None:
    """Measure the live sender on kafka-python and on librdkafka, on a Kafka of its own."""
    from load_tests.benches.producers.sender import bench_on_own_stack

    report = bench_on_own_stack(rate or [1000, 5000], tick or [5, 10, 15], seconds, turns)
    _write(json, report)
    for r in report["results"]:
        typer.echo(
            f"{r['name']}: {r['core_share']:.0%} of a core, {r['achieved_tx_per_second']:,.0f} tx/s, "
            f"delay p50 {r['delay_p50_ms']:.1f} p99 {r['delay_p99_ms']:.1f} ms, "
            f"send call p99 {r['send_call_p99_us'] / 1000:.2f} ms, broker {r['broker_core_share']:.0%}"
        )


@bench.command()
def reader(
    json: Json,
    rate: Annotated[list[int] | None, typer.Option(min=1, help="reads/s  [default: 200 and 1000]")] = None,
    seconds: Annotated[float, typer.Option("--seconds", min=0.2, help="seconds a turn")] = 5.0,
    turns: Annotated[int, typer.Option("--turns", min=1, help="turns of each contestant")] = 3,
) -> None:
    """Measure reading a transaction's features beside Redis sorted sets, open loop, on a Redis of its own."""
    from load_tests.benches.features.reader import bench_reader

    report = bench_reader(rate or [200, 1000], seconds, turns)
    _write(json, report)
    for r in report["results"]:
        typer.echo(
            f"{r['name']}, {r['rate']:,} reads/s: p50 {r['p50_ms']:.2f}, p99 {r['p99_ms']:.2f}, "
            f"p99.9 {r['p999_ms']:.2f} ms, {r['cpu_us']:.0f} µs of CPU a read, {r['reached']:,.0f}/s reached"
        )


@bench.command()
def kernel(
    json: Json,
    turns: Annotated[int, typer.Option("--turns", min=1, help="turns of each case")] = 5,
) -> None:
    """Measure folding and reading one key of 10 to 100,000 events, beside one scan per feature."""
    from load_tests.benches.kernel.one_key import TYPICAL, bench_kernel, value_of

    report = bench_kernel(turns=turns)
    _write(json, report)
    results, ratios = report["results"], report["ratios"]
    for entity, events in TYPICAL:
        typer.echo(
            f"{entity} with {events} events in 30 days: read {value_of(results, entity, 'read'):.2f} µs "
            f"({ratios[f'{entity} scan per feature']:.1f} times as fast as a scan per feature), "
            f"append {value_of(results, entity, 'append'):.2f} µs ({json})"
        )


@bench.command("load")
def load_figures(
    json: Json,
    out: Annotated[
        Path, typer.Option("--out", help="folder of the steps; an interrupted bench goes on there")
    ],
    capacities: Annotated[int, typer.Option("--capacities", min=1, help="by HTTP, and by stream")] = 2,
    step_seconds: Annotated[float, typer.Option("--step-seconds", min=1, help="of a capacity's step")] = 10.0,
    steps: Annotated[int, typer.Option("--steps", min=1, help="of a capacity, at most")] = 24,
    p99: Annotated[str, typer.Option("--p99", help="objective of the capacities")] = "50ms",
    first: Annotated[float, typer.Option("--first", help="rate of a capacity's first step")] = 50.0,
    most: Annotated[float, typer.Option("--most", help="highest rate of a capacity")] = 20_000.0,
    compares: Annotated[int, typer.Option("--compares", min=0, help="of the commit with itself")] = 10,
    rate: Annotated[float, typer.Option("--rate", help="of the comparisons")] = 100.0,
    compare_seconds: Annotated[float, typer.Option("--compare-seconds", min=1, help="of a turn")] = 15.0,
    turns: Annotated[int, typer.Option("--turns", min=4, help="of each comparison")] = 6,
    commit: Annotated[str, typer.Option("--commit", help="that is compared")] = "HEAD",
) -> None:
    """Measure the line by `fraudsim load`: capacity, bill, comparisons. Wants a machine of its own."""
    from load_tests.benches.load.bench import LoadBenchPlan, bench_load

    plan = LoadBenchPlan(
        commit=commit, capacities=capacities, step_seconds=step_seconds, steps=steps, objective=p99,
        first=first, most=most, compares=compares, rate=rate, compare_seconds=compare_seconds, turns=turns,
    )  # fmt: skip
    report = bench_load(plan, out, typer.echo)
    _write(json, report)
    for name, figures in report["capacity"].items():
        measured = figures["rate"]
        text = f"{measured}/s, {figures['low']} to {figures['high']}" if measured else figures["why"]
        typer.echo(f"{name}: {text}")
    same, slowed = report["compare_same"], report["compare_slowed"]
    typer.echo(
        f"intervals overlap: {report['intervals_overlap']}; with itself {same['words']}; "
        f"slowed by {plan.pause_ms:g} ms: {slowed['verdict']}"
    )


@bench.command()
def soak(
    json: Json,
    rate: Annotated[int, typer.Option("--rate", min=1, help="transactions per second")] = 3000,
    minutes: Annotated[float, typer.Option("--minutes", min=0.1, help="minutes of traffic")] = 20.0,
) -> None:
    """Keep a worker under an even load, and measure whether its memory or its lag grows."""
    from load_tests.benches.worker.soak import bench_soak

    report = bench_soak(rate, minutes * 60)
    _write(json, report)
    worker = report["results"][0]
    staleness, memory = worker["staleness_ms"], worker["memory_mib"]
    typer.echo(
        f"soak: {worker['folded']:,} transactions folded, {worker['cpu_us_per_transaction']:g} µs each; "
        f"memory {memory['a quarter in']:g} MiB a quarter in, {memory['end']:g} at the end; staleness p99 "
        f"{staleness['p99']:g}, max {staleness['max']:g} ms; {worker['states_equal']} states equal ({json})"
    )


@bench.command()
def catch_up(
    json: Json,
    behind: Annotated[int, typer.Option("--behind", min=1000, help="records the slot is behind")] = 1_000_000,
    rate: Annotated[int, typer.Option("--rate", min=1, help="live transactions per second")] = 1000,
    longest_s: Annotated[float, typer.Option("--longest", min=1, help="limit in seconds")] = 900.0,
) -> None:
    """Assign a slot that is far behind to a worker, and measure how fresh the other slots stay."""
    from load_tests.benches.worker.catch_up import bench_catch_up

    report = bench_catch_up(behind, rate, longest_s)
    _write(json, report)
    staleness, catching_up = report["results"]
    typer.echo(
        f"catch-up: {behind:,} records in {catching_up['seconds']:g} s beside {rate:,} tx/s; "
        f"the other slots' staleness p50 {staleness['p50']:g}, p99 {staleness['value']:g}, "
        f"max {staleness['max']:g} ms from the kill on; "
        f"{catching_up['states_equal']} states equal ({json})"
    )


@bench.command()
def engines(
    json: Json,
    events: Annotated[int, typer.Option("--events", min=10_000, help="transactions to fold")] = 600_000,
    rate: Annotated[int, typer.Option("--rate", min=1, help="live transactions per second")] = 500,
    seconds: Annotated[float, typer.Option("--seconds", min=1, help="seconds of live traffic")] = 30.0,
    only: Annotated[list[str] | None, typer.Option(help="contestants with this in their name")] = None,
) -> None:
    """Fold one log by Faust workers and by Spark: throughput, CPU a transaction, age of the state.

    The report is written after each contestant; an interrupted bench goes on there.
    """
    from load_tests.benches.engines.bench import EnginesPlan, bench_engines
    from load_tests.benches.engines.tables import tables

    plan = EnginesPlan(events=events, rate=rate, seconds=seconds, only=tuple(only or ()))
    report = bench_engines(json, plan, lambda line: typer.echo(line, err=True))
    typer.echo(f"{tables(report)}\n\nwritten: {json}")


@bench.command()
def stream(
    json: Json,
    events: Annotated[int, typer.Option("--events", min=100, help="transactions a turn")] = 20_000,
    turns: Annotated[int, typer.Option("--turns", min=1, help="turns of each contestant")] = 3,
    only: Annotated[list[str] | None, typer.Option(help="only this contestant; repeatable")] = None,
) -> None:
    """Measure the scorer from Kafka to Kafka beside a plain aiokafka loop and a Faust agent with XGBoost."""
    from load_tests.benches.stream.bench import bench_stream

    report = bench_stream(events, turns, only or (), lambda line: typer.echo(line, err=True))
    _write(json, report)
    for r in report["results"]:
        ratio = report["ratios"].get(r["name"])
        typer.echo(
            f"{r['name']}: {r['value']:,} transactions/s, {r['cpu_us']:g} µs of CPU each"
            + (f"; ours does {ratio:g} times as many" if ratio else "")
        )
    typer.echo(f"written: {json}")


@bench.command()
def simulator(
    json: Json,
    events: Annotated[int, typer.Option("--events", min=100, help="live transactions a turn")] = 20_000,
    days: Annotated[int, typer.Option("--days", min=1, help="days that the fast-forward decides")] = 28,
    turns: Annotated[int, typer.Option("--turns", min=1, help="turns of each contestant")] = 3,
) -> None:
    """Measure the fast-forward beside the live scorer: decisions a second of one core, in one run."""
    from load_tests.benches.stream.fast_forward import bench_simulator

    report = bench_simulator(events, days, turns, lambda line: typer.echo(line, err=True))
    _write(json, report)
    for r in report["results"]:
        ratio = report["ratios"].get(r["name"])
        typer.echo(
            f"{r['name']}: {r['value']:,} decisions/s, {r['cpu_us']:g} µs of CPU each"
            + (f"; {ratio:g} times the live scorer's" if ratio else "")
        )
    typer.echo(f"written: {json}")


@bench.command()
def features(
    json: Json,
    events: Annotated[int, typer.Option("--events", min=1_000, help="transactions in the log")] = 150_000,
    turns: Annotated[int, typer.Option("--turns", min=1, help="turns of each contestant")] = 3,
    only: Annotated[list[str] | None, typer.Option(help="only this contestant; repeatable")] = None,
) -> None:
    """Measure the feature worker beside Faust, quix-streams, bytewax and Redis sorted sets, on one log."""
    from load_tests.benches.features.bench import bench_features

    report = bench_features(events, turns, only or (), say=lambda line: typer.echo(line, err=True))
    _write(json, report)
    for r in report["results"]:
        ratio = report["ratios"].get(r["name"])
        typer.echo(
            f"{r['name']}: {r['value']:,.0f} tx/s, {r['cpu_us']:.1f} µs of CPU each, {r['peak_mb']:,.0f} MB, "
            f"{r['features']} window features" + (f"; ours is {ratio:g} times as fast" if ratio else "")
        )


@bench.command()
def growth(
    json: Json,
    svg: Annotated[
        Path | None, typer.Option("--svg", callback=writable, help="file to draw the plot into")
    ] = None,
    turns: Annotated[int, typer.Option("--turns", min=1, help="turns of each case")] = 5,
) -> None:
    """Measure a key by history, heat and longest window, beside a recomputation from its events."""
    from load_tests.benches.kernel.growth import PER_DAY, bench_growth, series
    from load_tests.benches.kernel.growth_plot import growth_svg

    report = bench_growth(turns=turns)
    _write(json, report)
    if svg is not None:
        svg.write_text(growth_svg(report), encoding="utf-8")
    for entity in PER_DAY:
        read, fold, rival = (
            series(report["results"], "heat", entity, name) for name in ("read", "fold", "recompute")
        )
        typer.echo(
            f"{entity} from {read[0]['at']} to {read[-1]['at']:,} events in 30 days: "
            f"read {read[0]['value']:,} to {read[-1]['value']:,} ns, fold {fold[0]['value']:,} to "
            f"{fold[-1]['value']:,} ns, state {read[0]['bytes']:,} to {read[-1]['bytes']:,} bytes; "
            f"recomputed {rival[0]['value']:,} to {rival[-1]['value']:,} ns, {rival[-1]['bytes']:,} bytes "
            f"({json})"
        )


@bench.command()
def http(
    json: Json,
    only: Annotated[
        list[str] | None, typer.Option("--only", help="server to measure; repeatable  [default: all]")
    ] = None,
    seconds: Annotated[float, typer.Option("--seconds", min=0.2, help="length of each period of load")] = 2.0,
    turns: Annotated[int, typer.Option("--turns", min=1, help="turns of each contestant")] = 3,
) -> None:
    """Measure the scorer's HTTP path beside Starlette, FastAPI, MLServer and BentoML with the same model."""
    from load_tests.benches.http.bench import bench_http

    _write(json, bench_http(only or (), seconds, turns, typer.echo))


def _write(path: Path, report: dict[str, Any]) -> None:
    import msgspec

    path.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=1) + b"\n")
