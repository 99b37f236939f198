"""Addresses: asked directly and where a server listens, masked, and those of the running line."""

import http.server
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from fraudsim.addresses import RunningLine, http_url, mask_password, open_direct
from fraudsim.errors import FraudsimError
from fraudsim.log.brokers import check_reachable
from fraudsim.settings import Settings, load_settings
from runner.line.probes import scorer_is_ready

WRITE = "from fraudsim.addresses import *; RunningLine('k', 'r', 'h').write(Path('first'))"


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:80"),
        ("::1", "http://[::1]:80"),
        ("[::1]", "http://[::1]:80"),
        ("0.0.0.0", "http://127.0.0.1:80"),
        ("::", "http://[::1]:80"),
        ("", "http://127.0.0.1:80"),
        ("localhost", "http://localhost:80"),
    ],
)
def test_a_server_is_asked_where_it_listens(host, url):
    assert http_url(host, 80) == url


class Server(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6


class Ready(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_):
        pass


def test_readiness_is_seen_on_ipv6_and_behind_a_proxy_variable(monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    try:
        server = Server(("::1", 0), Ready)
    except OSError:
        pytest.skip("this machine has no IPv6 loopback")
    with server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        settings = Settings(_env_file=None, http_host="::1", http_port=server.server_port)
        assert scorer_is_ready(settings)
        assert open_direct(http_url("::1", server.server_port), 5).status == 200
        server.shutdown()


def test_a_password_is_masked_and_nothing_else():
    assert mask_password("redis://:a@c@127.0.0.1:6379/0") == "redis://:***@127.0.0.1:6379/0"
    assert mask_password("redis://user:word@host:1/0") == "redis://user:***@host:1/0"
    for plain in ("redis://127.0.0.1:6379/0", "127.0.0.1:9092", "runs/latest"):
        assert mask_password(plain) == plain


@pytest.mark.parametrize("wrong", ["127.0.0.1:port", "127.0.0.1", ":9092", "127.0.0.1:99999", ""])
def test_an_address_that_is_none_is_named(wrong):
    with pytest.raises(FraudsimError, match="is not host:port"):
        check_reachable(wrong)


@pytest.mark.parametrize(
    "wrong",
    ["127.0.0.1:1", "http://:secret@x", "redis://:secret@h:port", "redis://h:0", "redis://h:99999", "redis"],
)
def test_a_url_that_is_none_of_redis_is_named_without_its_password(wrong, monkeypatch):
    monkeypatch.setenv("FRAUDSIM_REDIS_URL", wrong)
    load_settings.cache_clear()
    with pytest.raises(FraudsimError, match=r"setting FRAUDSIM_REDIS_URL='.*': is not redis://") as error:
        load_settings()
    assert "secret" not in str(error.value)
    load_settings.cache_clear()


@pytest.mark.parametrize(
    "right", ["redis://h", "redis://:p@h:1/2", "rediss://u:p@[::1]:6379/0", "unix:///run/redis.sock?db=1"]
)
def test_every_form_of_a_redis_url_is_a_setting(right):
    assert Settings(_env_file=None, redis_url=right).redis_url == right


def test_a_kafka_that_is_away_is_one_line(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    env = {**os.environ, "FRAUDSIM_KAFKA_BOOTSTRAP": f"127.0.0.1:{port}"}
    for command in (["topics"], ["clock", "show"]):
        answer = subprocess.run(
            [sys.executable, "-m", "fraudsim", *command], env=env, cwd=tmp_path,
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert answer.returncode == 2, answer.stderr
        assert answer.stderr.startswith(
            f"error: setting FRAUDSIM_KAFKA_BOOTSTRAP=127.0.0.1:{port}: no Kafka answers there"
        )
        assert answer.stderr.count("\n") == 1


def test_commands_find_the_running_line_unless_they_are_told_of_another(tmp_path, monkeypatch):
    for name in ("FRAUDSIM_KAFKA_BOOTSTRAP", "FRAUDSIM_REDIS_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FRAUDSIM_RUNS_DIR", str(tmp_path))
    (tmp_path / "first").mkdir()
    (tmp_path / "latest").symlink_to("first")
    RunningLine("127.0.0.1:1", "redis://:word@127.0.0.1:2/0", "http://127.0.0.1:3").write(tmp_path / "first")
    settings = load_settings()
    assert (settings.kafka_bootstrap, settings.redis_url) == ("127.0.0.1:1", "redis://:word@127.0.0.1:2/0")
    assert "http_port" not in settings.model_fields_set
    monkeypatch.setenv("FRAUDSIM_KAFKA_BOOTSTRAP", "127.0.0.1:7")
    load_settings.cache_clear()
    assert load_settings().kafka_bootstrap == "127.0.0.1:7"
    assert load_settings().redis_url == "redis://127.0.0.1:6379/0"
    subprocess.run([sys.executable, "-c", WRITE], check=True)
    monkeypatch.delenv("FRAUDSIM_KAFKA_BOOTSTRAP")
    load_settings.cache_clear()
    assert load_settings().kafka_bootstrap == "127.0.0.1:9092", "its owner is gone"


def test_no_room_asks_the_line_through_a_proxy():
    root = Path(__file__).parents[2]
    rooms = [
        "fraudsim", "producers", "stream_features", "model", "scorer", "runner", "dashboards", "load_tests",
        "studies", "testing",
    ]  # fmt: skip
    paths = [path for room in rooms for path in (root / room).rglob("*.py")]
    assert len(paths) > 300
    assert [str(path) for path in paths if "urlopen(" in path.read_text()] == []
