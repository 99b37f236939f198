"""The catalogue as a Markdown page, `docs/features.md`."""

from collections.abc import Iterator

from stream_features.catalogue.features import (
    DAY,
    DISTINCT_CAP,
    EXACT,
    FEATURES,
    HASH,
    HOUR,
    LABEL_MEMORY,
    MAX_LABELS,
    MAX_ROWS,
    MINUTE,
    RISK_PRIOR,
    RISK_WEIGHT,
    SECOND,
    WINDOWED,
    Feature,
)

UNITS = ((DAY, "d"), (HOUR, "h"), (MINUTE, "min"), (SECOND, "s"), (1, "ms"))
COMMAND = "fraudsim features catalogue --markdown docs/features.md"


def duration(ms: int) -> str:
    """A time in the largest unit that divides it: 86,400,000 is 1 d."""
    unit_ms, unit = next((size, unit) for size, unit in UNITS if ms % size == 0)
    return f"{ms // unit_ms} {unit}"


def table_row(feature: Feature) -> tuple[str, ...]:
    """A feature's cells in the table: feature, aggregate, window, tail, head, unit, meaning, null."""
    aggregate = feature.aggregate if feature.window_ms else ""
    if feature.counterpart:
        aggregate += f" ({feature.counterpart})"
    times = (feature.window_ms, feature.tail_ms, feature.head_ms) if feature.window_ms else ()
    return (
        feature.name,
        aggregate,
        *(tuple(map(duration, times)) or ("", "", "")),
        feature.unit,
        feature.description,
        feature.null or "Never.",
    )


def render_markdown() -> str:
    """The whole page."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    yield from (
        "# Features",
        "",
        f"Written by `{COMMAND}` from",
        "`stream_features/catalogue/features.py`; a test holds it to the code.",
        "",
        f"{len(FEATURES)} features, catalogue `{HASH}`.",
        "A feature over a window W with tail resolution r and head resolution h, as of `now`, looks at the",
        "valid, unique events of its entity's key with `floor_r(now - W) <= ts < floor_h(now)`.",
        "`count`, `sum`, `mean`, `std`, `max` and `distinct` add the transaction at hand once; `same`,",
        "`since_last`, `speed` and `ratio_to_mean` compare it with what lies strictly before.",
        f"`distinct` is min({DISTINCT_CAP}, true count); `same` counts earlier transactions with the same",
        "counterpart.",
        f"`fraud_rate` is (frauds that became known in the window + {RISK_WEIGHT:g} · {RISK_PRIOR:g}) /",
        f"(transactions of the window + {RISK_WEIGHT:g}), from labels of the last {duration(LABEL_MEMORY)}.",
        "",
        "Beside the rule in the last column, every feature of an entity is null where its state cannot",
        "answer exactly: at a `now` further behind the key's newest event than the log's horizon; where the",
        f"state in Redis cannot be read; where a window of {' or '.join(EXACT)} reaches back past its newest",
        f"{MAX_ROWS:,} transactions; and, for `fraud_rate`, past the merchant's newest {MAX_LABELS:,} "
        "labels.",
    )
    for entity in ("request", *WINDOWED):
        yield from ("", f"## {entity.capitalize()}", "")
        yield "| feature | aggregate | window | tail | head | unit | meaning | null |"
        yield "|" + "---|" * 8
        for feature in FEATURES:
            if feature.entity == entity:
                first, *rest = table_row(feature)
                yield "| " + " | ".join((f"`{first}`", *rest)) + " |"
