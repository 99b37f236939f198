"""Every query of the dashboards and every recording rule, as the files have them."""

import json
from pathlib import Path

import yaml

FOLDER = Path(__file__).parents[2] / "dashboards"

# What a line of some minutes cannot have, and why.
NO_PAST = {
    "offset 30m": "there is nothing of 30 minutes ago",
    "fraudsim_drift_week": "no week of event time has been judged",
    "fraudsim_retraining": "no retraining is due",
}


def queries(interval):
    """(dashboard, panel, PromQL) of every target, with rates over `interval`."""
    for path in sorted((FOLDER / "grafana" / "boards").glob("*.json")):
        for panel in json.loads(path.read_text())["panels"]:
            for target in panel.get("targets", []):
                yield path.stem, panel["title"], target["expr"].replace("$__rate_interval", interval)


def recorded():
    groups = yaml.safe_load((FOLDER / "prometheus" / "rules" / "recording.yml").read_text())["groups"]
    return {rule["record"] for group in groups for rule in group["rules"]}
