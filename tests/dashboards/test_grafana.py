"""Grafana's dashboards: the files are what the code makes, and what Grafana's own types take."""

import json
import re
from itertools import pairwise
from pathlib import Path

import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

from dashboards.grafana.files import BOARDS_FOLDER, render_boards

ROOT = Path(__file__).parent.parent.parent
BOARDS = {path.stem: json.loads(path.read_text()) for path in BOARDS_FOLDER.glob("*.json")}


def panels(board):
    return [panel for panel in board["panels"] if panel["type"] != "row"]


def test_the_committed_dashboards_are_those_that_the_code_makes():
    assert {path.name: path.read_text() for path in BOARDS_FOLDER.glob("*.json")} == render_boards(), (
        "run `make dashboards`"
    )


def test_board_ids_stay():
    assert BOARDS.keys() == {"fraudsim-line", "fraudsim-decisions", "fraudsim-model", "fraudsim-machine"}
    assert all(board["uid"] == uid for uid, board in BOARDS.items())


@pytest.mark.parametrize("uid", sorted(BOARDS))
def test_grafana_s_types_read_it_and_give_it_back(uid):
    again = json.dumps(Dashboard.from_json(BOARDS[uid]), cls=JSONEncoder)
    assert json.loads(again) == BOARDS[uid]


@pytest.mark.parametrize("uid", sorted(BOARDS))
def test_panels_lie_side_by_side_each_with_a_title_and_a_query(uid):
    title_by_cell = {}
    for panel in BOARDS[uid]["panels"]:
        pos = panel["gridPos"]
        assert pos["x"] + pos["w"] <= 24, panel["title"]
        for cell in (
            (x, y) for x in range(pos["x"], pos["x"] + pos["w"]) for y in range(pos["y"], pos["y"] + pos["h"])
        ):
            assert title_by_cell.setdefault(cell, panel["title"]) == panel["title"], cell
    board_panels = panels(BOARDS[uid])
    assert all(panel["title"] and panel["targets"] for panel in board_panels)
    assert all(panel["id"] < following["id"] for panel, following in pairwise(BOARDS[uid]["panels"]))


def test_every_panel_asks_the_data_source_that_is_provisioned():
    provisioned = yaml.safe_load(
        (BOARDS_FOLDER.parent / "provisioning/datasources/prometheus.yml").read_text()
    )
    (source,) = provisioned["datasources"]
    expected = {"type": source["type"], "uid": source["uid"]}
    for board in BOARDS.values():
        for panel in panels(board):
            assert panel["datasource"] == expected
            assert all(target["datasource"] == expected for target in panel["targets"])
    config = yaml.safe_load((ROOT / "dashboards/prometheus/prometheus.yml").read_text())
    assert source["jsonData"]["timeInterval"] == config["global"]["scrape_interval"]
    port = re.search(r"--web.listen-address=\S*:(\d+)|127.0.0.1:\$\{PROMETHEUS_PORT:-\d+\}:(\d+)", _compose())
    assert source["url"] == f"http://prometheus:{port[1] or port[2]}"


def test_compose_mounts_what_the_provider_reads_and_the_version_that_the_types_are_of():
    provider = yaml.safe_load((BOARDS_FOLDER.parent / "provisioning/dashboards/fraudsim.yml").read_text())
    (files,) = provider["providers"]
    assert f"./dashboards/grafana/boards:{files['options']['path']}:ro" in _compose()
    assert "./dashboards/grafana/provisioning:/etc/grafana/provisioning:ro" in _compose()
    types = re.search(r"grafana-foundation-sdk==\d+!(\d+\.\d+)\.0", (ROOT / "pyproject.toml").read_text())
    assert f"GRAFANA_IMAGE=grafana/grafana:{types[1]}." in (ROOT / ".env.example").read_text()


def _compose():
    return (ROOT / "docker-compose.yml").read_text()
