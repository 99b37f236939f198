"""What the machine does to a command is said in one line; what the product does wrong keeps its traceback."""

import os
import subprocess
import sys

import aiokafka.errors
import kafka.errors
import pytest
import redis.exceptions

from fraudsim import cli
from fraudsim.errors import FraudsimError, InvariantError
from fraudsim.settings import Settings, load_settings, variable


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (OSError(28, "No space left on device", "/a/b"), "/a/b: No space left on device"),
        (OSError(18, "Invalid link", "/a", None, "/b"), "/a → /b: Invalid link"),
        (TimeoutError(), "TimeoutError"),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"), "a file or setting is not UTF-8: "),
        (UnicodeEncodeError("ascii", "ü", 0, 1, "bad"), "PYTHONUTF8=1"),
        (kafka.errors.KafkaTimeoutError("a\nb"), "a b; does Kafka run at FRAUDSIM_KAFKA_BOOTSTRAP?"),
        (kafka.errors.KafkaError("no metadata"), "no metadata; does Kafka run at FRAUDSIM_KAFKA_BOOTSTRAP?"),
        (kafka.errors.RequestTimedOutError(), "does Kafka run at FRAUDSIM_KAFKA_BOOTSTRAP?"),
        (aiokafka.errors.KafkaConnectionError("x"), "does Kafka run at FRAUDSIM_KAFKA_BOOTSTRAP?"),
        (redis.exceptions.ConnectionError("x"), "x; does Redis run at FRAUDSIM_REDIS_URL?"),
    ],
)
def test_an_error_of_the_machine_is_one_line(error, line, monkeypatch, capsys):
    def fail(**_):
        raise error

    monkeypatch.setattr(cli, "build", lambda: fail)
    monkeypatch.delenv("FRAUDSIM_LOG_LEVEL", raising=False)
    with pytest.raises(SystemExit) as exited:
        cli.main()
    assert exited.value.code == 2
    message = capsys.readouterr().err
    assert message.startswith("error: ")
    assert line in message
    assert message.count("\n") == 1


@pytest.mark.parametrize(
    "error",
    [InvariantError("x"), KeyError("x"), ValueError("x"), kafka.errors.OffsetOutOfRangeError("x"),
     redis.exceptions.ResponseError("x")],
)  # fmt: skip
def test_a_bug_is_not_hidden(error, monkeypatch):
    def fail(**_):
        raise error

    monkeypatch.setattr(cli, "build", lambda: fail)
    with pytest.raises(type(error)):
        cli.main()


def test_with_debug_every_traceback_is_shown(monkeypatch):
    def fail(**_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cli, "build", lambda: fail)
    monkeypatch.setenv("FRAUDSIM_LOG_LEVEL", "DEBUG")
    with pytest.raises(OSError, match="No space"):
        cli.main()


@pytest.mark.parametrize("content", [b"FRAUDSIM_SEED=\xff\n", b"\xff\xfe\x00"])
def test_an_env_file_that_is_not_text_is_named(content, tmp_path, monkeypatch):
    (tmp_path / ".env").write_bytes(content)
    monkeypatch.chdir(tmp_path)
    load_settings.cache_clear()
    try:
        with pytest.raises(FraudsimError, match=rf"{tmp_path}/\.env: it is not UTF-8; mend or remove it"):
            load_settings()
    finally:
        load_settings.cache_clear()


def test_a_user_without_a_home_has_settings():
    program = (
        "import pathlib\n"
        "def no_home(*_): raise RuntimeError('Could not determine home directory.')\n"
        "pathlib.Path.home = no_home\n"
        "from fraudsim.cli import main\n"
        "main()"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program, "settings"], capture_output=True, text=True, check=False,
        env={name: value for name, value in os.environ.items() if name != "HOME"},
    )  # fmt: skip
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "FRAUDSIM_CACHE_DIR=.cache/fraudsim  #" in ran.stdout


SHOWING = """
from fraudsim import cli
cli.build = lambda: lambda **_: print("Müller \\udcff")
cli.main()
"""


@pytest.mark.parametrize(
    ("encoding", "shown"), [("ascii", b"M\\xfcller \\udcff"), ("utf-8", b"M\xc3\xbcller \\udcff")]
)
def test_what_a_terminal_cannot_show_does_not_end_a_command(encoding, shown):
    env = {**os.environ, "PYTHONIOENCODING": encoding}
    answer = subprocess.run([sys.executable, "-c", SHOWING], env=env, capture_output=True, check=False)
    assert (answer.returncode, answer.stdout.strip(), answer.stderr) == (0, shown, b"")


CLOSED = """
import os, sys
from fraudsim import cli
def command(**_):
    print("said", file=sys.stderr)
    print("said")
    with open(sys.argv[1], "w") as file:
        file.write(str(min(os.pipe())))
cli.build = lambda: command
cli.main()
"""


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_no_file_takes_the_place_of_a_closed_stream(closed, tmp_path):
    shell = f'"$0" -c "$1" "$2" {closed}'
    words = [sys.executable, CLOSED, str(tmp_path / "lowest")]
    answer = subprocess.run(["/bin/sh", "-c", shell, *words], capture_output=True, check=False)
    assert answer.returncode == 0, answer.stderr
    assert int((tmp_path / "lowest").read_text()) > 2


@pytest.mark.parametrize("in_env_file", [False, True])
def test_an_empty_variable_is_not_set(in_env_file, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = [variable(name) for name in Settings.model_fields]
    if in_env_file:
        (tmp_path / ".env").write_text("".join(f"{name}=\n" for name in names))
    for name in names:
        monkeypatch.delenv(name, raising=False) if in_env_file else monkeypatch.setenv(name, "")
    load_settings.cache_clear()
    assert load_settings() == Settings.model_construct()
    load_settings.cache_clear()


@pytest.mark.parametrize("name", ["WORLD", "LABEL_DELAYS", "CONSEQUENCES"])
@pytest.mark.parametrize("in_env_file", [False, True])
def test_a_setting_of_several_values_that_is_no_json_is_named(name, in_env_file, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if in_env_file:
        (tmp_path / ".env").write_text(f"FRAUDSIM_{name}={{bad\n")
    else:
        monkeypatch.setenv(f"FRAUDSIM_{name}", "{bad")
    load_settings.cache_clear()
    with pytest.raises(
        FraudsimError, match=rf"^setting FRAUDSIM_{name}=.*: is not a JSON object; .*__NAME=1$"
    ):
        load_settings()
    load_settings.cache_clear()
