"""The text table of a history."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from producers.history.reader import History


def describe_history(history: History) -> str:
    """Volumes, fraud by typology, labels by source with delays, and transactions by hour of the day."""
    manifest = history.manifest
    lines = [
        f"{history.directory} ({manifest.source}, seed {manifest.seed}, version {manifest.version})",
        f"  days                 {manifest.days:>12,}",
        f"  cards                {manifest.cards:>12,}",
        f"  transactions         {manifest.transactions:>12,}",
        f"  per day              {manifest.transactions_per_day:>12,.0f}",
        f"  fraud                {manifest.fraud_rate:>12.3%}",
        f"  fingerprint          {manifest.fingerprint[:16]}",
        *_typologies(history),
        *_labels(history),
        *_hours(history),
    ]
    return "\n".join(lines)


def _typologies(history: History) -> list[str]:
    truth = history.truth()
    frauds = truth.filter(truth["is_fraud"])
    plain = pa.table({name: frauds[name].cast(pa.string()) for name in ("typology", "campaign_id")})
    groups = (
        plain.group_by("typology")
        .aggregate([([], "count_all"), ("campaign_id", "count_distinct")])
        .sort_by("typology")
    )
    lines = ["", f"  {'typology':<22}{'frauds':>9}{'campaigns':>11}{'of all':>10}"]
    for row in groups.to_pylist():
        share = row["count_all"] / history.manifest.transactions
        campaigns = row["campaign_id_count_distinct"]
        lines.append(f"  {row['typology'] or '-':<22}{row['count_all']:>9,}{campaigns:>11,}{share:>10.4%}")
    return lines


def _labels(history: History) -> list[str]:
    labels = history.labels()
    hours = np.asarray(pc.subtract(labels["known_at"], labels["ts"])) / 3_600_000
    source = np.asarray(labels["source"].cast("string"))
    is_fraud = np.asarray(labels["is_fraud"])
    is_known = np.asarray(labels["known_at"]) < history.manifest.end_ms
    lines = ["", f"  {'label':<22}{'labels':>9}{'known':>9}{'delay p10':>12}{'p50':>9}{'p90':>9}"]
    for name in ("analyst", "customer", "chargeback"):
        for verdict in (True, False):
            rows = (source == name) & (is_fraud == verdict)
            if rows.any():
                p10, p50, p90 = (_duration(value) for value in np.quantile(hours[rows], [0.1, 0.5, 0.9]))
                delays = f"{p10:>12}{p50:>9}{p90:>9}"
                title = f"{name}: {'fraud' if verdict else 'honest'}"
                lines.append(f"  {title:<22}{rows.sum():>9,}{(rows & is_known).sum():>9,}{delays}")
    return lines


def _hours(history: History) -> list[str]:
    ts = np.asarray(history.transactions(["ts"])["ts"])
    counts = np.bincount(ts // 3_600_000 % 24, minlength=24)
    lines = ["", "  hour (UTC)"]
    for hour, count in enumerate(counts):
        bar = "█" * round(40 * count / counts.max())
        lines.append(f"  {hour:02d}{count / counts.sum():>8.1%} {bar}")
    return lines


def _duration(hours: float) -> str:
    return f"{hours:.1f} h" if hours < 48 else f"{hours / 24:.1f} d"
