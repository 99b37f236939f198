"""A registry of models on disk: what is admitted, that versions never change, and changes of the aliases."""

import json
import socket
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from typer.testing import CliRunner

from fraudsim.cli import build
from fraudsim.errors import FraudsimError
from model.artefact.files import load_model
from model.registry.aliases import Aliases, add_shadow, promote
from model.registry.versions import add_version, change_aliases, folder_of, load_manifests, read_aliases
from testing.samples.other_model import another_version


@pytest.fixture
def registry(trained, tmp_path):
    add_version(trained, tmp_path / "models")
    return tmp_path / "models"


@pytest.fixture
def another(trained, tmp_path):
    return another_version(trained, tmp_path / "another")


def files(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*.*")}


def fraudsim(*words):
    result = CliRunner().invoke(build(), [*map(str, words)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.output


def test_the_first_model_is_the_champion_and_the_next_waits_until_it_is_promoted(registry, another, model):
    assert read_aliases(registry) == Aliases(champion=model.version)
    manifest, aliases = add_version(another, registry)
    assert aliases.champion == model.version != manifest.version
    assert load_model(folder_of(registry, manifest.version)).version == manifest.version
    assert {manifest.version for manifest in load_manifests(registry)} == {model.version, manifest.version}


def test_what_is_there_already_is_not_touched(registry, trained, model):
    before = files(registry)
    times = {path: path.stat().st_mtime_ns for path in registry.rglob("*.*")}
    add_version(trained, registry)
    assert files(registry) == before
    assert {path: path.stat().st_mtime_ns for path in registry.rglob("*.*")} == times
    (folder_of(registry, model.version) / "model.ubj").write_bytes(b"cut")
    with pytest.raises(FraudsimError, match=r"model.ubj: its SHA-256 is"):
        add_version(trained, registry)


def test_what_cannot_be_served_does_not_get_in_and_leaves_nothing(registry, another):
    before = files(registry)
    document = json.loads((another / "manifest.json").read_text())
    document["catalogue_hash"] = "0123456789abcdef"
    (another / "manifest.json").write_text(json.dumps(document))
    with pytest.raises(
        FraudsimError, match=r"manifest.json: catalogue_hash='0123456789abcdef', this program"
    ):
        add_version(another, registry)
    assert files(registry) == before
    assert not [path for path in registry.iterdir() if path.name.startswith(".")]


def test_a_single_model_is_no_registry(trained, another):
    with pytest.raises(
        FraudsimError, match=r"it is a single model, no registry; name another folder by --at"
    ):
        add_version(another, trained)
    with pytest.raises(FraudsimError, match=r"aliases.json: No such file .*fraudsim model put MODEL --at"):
        change_aliases(trained, lambda aliases: aliases)


def test_changes_at_once_are_all_made(registry, model):
    versions = [f"{n:016x}" for n in range(40)]

    def add_shadows(new_shadows):
        for version in new_shadows:
            change_aliases(registry, lambda before, version=version: add_shadow(before, version))

    threads = [threading.Thread(target=add_shadows, args=(versions[k::4],)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(read_aliases(registry).shadows) == versions


def test_a_change_that_contradicts_is_not_written(registry, model):
    before = files(registry)
    with pytest.raises(FraudsimError, match=r"which is in champion already"):
        change_aliases(registry, lambda aliases: Aliases(champion=model.version, shadows=[model.version]))
    assert files(registry) == before


@pytest.mark.parametrize(
    ("spoilt", "message"),
    [
        (b'{"champion": "x"}', r"`\$.champion`"),
        (b'{"champion": "0123456789abcdef", "shadow": []}', "unknown field `shadow`"),
        (b"{", "truncated"),
        (b"\xff", "models"),
    ],
)
def test_an_alias_file_that_cannot_be_read_is_told_by_field(registry, spoilt, message):
    (registry / "aliases.json").write_bytes(spoilt)
    with pytest.raises(FraudsimError, match=rf"aliases.json: .*{message}|{message}.*aliases.json"):
        read_aliases(registry)


def test_the_commands_say_what_stands(registry, another, model):
    put_it = fraudsim("model", "put", another, "--at", registry)
    other = put_it.split()[0]
    assert put_it == f"{other} is in the registry\n"
    shown = fraudsim("model", "challenge", other[:6], "--share", "0.1", "--at", registry)
    assert shown == f"{model.version}  champion\n{other}  challenger, 10.00% of the cards\n"
    assert "champion" in fraudsim("model", "list", "--at", registry)
    assert fraudsim("model", "stop", other, "--at", registry) == f"{model.version}  champion\n"
    fraudsim("model", "shadow", other, "--at", registry)
    shown = fraudsim("model", "promote", other, "--at", registry)
    assert shown == f"{other}  champion\n{model.version}  previous\n"
    assert fraudsim("model", "rollback", "--at", registry).startswith(f"{model.version}  champion\n")
    assert read_aliases(registry) == Aliases(champion=model.version, previous=other)
    with pytest.raises(FraudsimError, match=r"version 'zz': there is none in .*; it has .*" + other):
        fraudsim("model", "promote", "zz", "--at", registry)


def test_a_damaged_version_is_not_promoted(registry, another, model):
    manifest, _ = add_version(another, registry)
    (folder_of(registry, manifest.version) / "fallback.ubj").write_bytes(b"cut")
    with pytest.raises(FraudsimError, match=r"fallback.model_sha256"):
        fraudsim("model", "promote", manifest.version, "--at", registry)
    assert read_aliases(registry).champion == model.version
    change_aliases(registry, lambda before: promote(before, manifest.version))
    assert fraudsim("model", "rollback", "--at", registry).startswith(model.version)  # it must not ask it


@pytest.mark.parametrize(
    "answer",
    [b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n<html", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
     b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}", b"HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n",
     b"no such protocol\r\n\r\n", b""],
)  # fmt: skip
def test_a_server_that_is_no_scorer_is_named(answer):
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer_once():
            connection, _ = server.accept()
            with connection:
                connection.recv(65_536)
                connection.sendall(answer)

        thread = threading.Thread(target=answer_once, daemon=True)
        thread.start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(FraudsimError, match=rf"--url {url}: .*; name the HTTP API of a scorer that runs"):
            fraudsim("model", "shadows", "--url", url)
        thread.join()


def test_the_differences_of_shadows_are_shown_as_a_scorer_tells_them():
    reply = {
        "version": "a" * 16, "shadows_dropped": 7,
        "shadows": [
            {"version": "b" * 16, "compared": 200, "agreed": 190, "mean_difference": -0.0012,
             "differed": {"approve>review": 8, "decline>approve": 2}},
        ],
    }  # fmt: skip

    class Scorer(BaseHTTPRequestHandler):
        def do_GET(self):
            assert self.path == "/v1/model"
            body = json.dumps(reply).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Scorer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        url = f"http://127.0.0.1:{server.server_port}"
        shown = " ".join(fraudsim("model", "shadows", "--url", url).split())
        assert "200 compared, 95.00% agree, score -0.001200 on average" in shown
        assert "│ approve │ review │ 8 │ 4.000% │" in shown
        assert "7 were not compared: too many waited" in shown
        reply["shadows"] = []
        assert "has no shadow" in fraudsim("model", "shadows", "--url", url)
    finally:
        server.shutdown()
        server.server_close()
    with pytest.raises(FraudsimError, match=rf"--url {url}: .*name the HTTP API of a scorer that runs"):
        fraudsim("model", "shadows", "--url", url)
