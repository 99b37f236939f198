"""The settings of every process, read from `FRAUDSIM_…` environment variables and `.env`."""

import difflib
import os
import re
import socket
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit

from dotenv import dotenv_values
from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

from fraudsim.addresses import mask_password, running_line
from fraudsim.durations import duration_ms
from fraudsim.errors import FraudsimError

PREFIX = "FRAUDSIM_"
NEAR: Final = 0.9
"""Likeness of a name to a setting's from which it counts as misspelt, 0 to 1 (`difflib`)."""


def _insert_host(name: Any) -> Any:
    return name.replace("{host}", socket.gethostname()) if isinstance(name, str) else name


Name = Annotated[str, BeforeValidator(_insert_host)]
"""`{host}` in it is replaced by this host's name, since replicas of one container share their variables."""


def _check_redis_url(url: str) -> str:
    try:
        parts = urlsplit(url)
        is_redis = parts.scheme in ("redis", "rediss", "unix") and (parts.port is None or parts.port > 0)
    except ValueError:  # the port
        is_redis = False
    if not is_redis:
        raise ValueError("is not redis://[[user]:password@]host:port/number, nor rediss:// or unix://")
    return url


RedisUrl = Annotated[str, AfterValidator(_check_redis_url)]


def _cache_dir() -> Path:
    """In the home folder; where the user has none, in the working folder."""
    try:
        return Path.home() / ".cache" / "fraudsim"
    except RuntimeError:
        return Path(".cache") / "fraudsim"


MAX_LAG: Final = "30d"
"""With a longer lag every window is empty."""


def _check_lag(text: str) -> str:
    try:
        lag_ms = duration_ms(text)
    except FraudsimError as error:
        raise ValueError(str(error)) from None
    if lag_ms > duration_ms(MAX_LAG):
        raise ValueError(f"at most {MAX_LAG}, which is the longest window")
    return text


def _check_page_key(key: SecretStr) -> SecretStr:
    if not re.fullmatch(r"[A-Za-z0-9_-]*", key.get_secret_value()):
        raise ValueError("has characters other than letters, digits, - and _")
    return key


ModelKind = Literal["full", "cascade", "distilled"]


class Settings(BaseSettings):
    """Frozen; units are in the names. Read it by `load_settings()`, which reports a bad value in one line."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter="__",
        env_file=".env",
        env_ignore_empty=True,  # `FRAUDSIM_POLICY=` is no policy, not the working folder
        frozen=True,
        extra="ignore",
    )

    # Addresses and folders
    kafka_bootstrap: str = Field("127.0.0.1:9092", description="Kafka brokers, host:port[,host:port…]")
    redis_url: RedisUrl = Field("redis://127.0.0.1:6379/0", description="Redis that holds the feature state")
    runs_dir: Path = Field(Path("runs"), description="folder of run folders")
    cache_dir: Path = Field(_cache_dir(), description="downloaded Kafka, compiled kernels")
    model_dir: Path = Field(Path("runs/latest/model"), description="model artefact the scorer serves")
    model_kind: ModelKind = Field(
        "full",
        description="which model of the artefact serves: full, or a cheaper one made by `train --variants`",
    )
    policy: Path | None = Field(
        None, description="folder of the scorer's policy, watched for changes; unset: the shipped policy"
    )

    # The local stack (no Docker)
    kafka_port: int = Field(0, ge=0, le=65535, description="port of the local Kafka; 0 takes a free one")
    redis_port: int = Field(0, ge=0, le=65535, description="port of the local Redis; 0 takes a free one")
    kafka_heap_mb: int = Field(512, ge=128, description="Java heap of the local Kafka, MB")
    redis_server: Path | None = Field(None, description="redis-server or valkey-server binary to use")

    # Topics and slots
    partitions: int = Field(
        4, ge=1, le=256, description="partitions of transactions, labels, decisions, truth"
    )
    replication: int = Field(1, ge=1, le=5, description="replication factor of every topic")
    slots: int = Field(8, ge=1, le=256, description="shares that the feature state is divided into")

    # Feature worker and reader
    worker_name: Name = Field(
        "features-0",
        pattern=r"^[A-Za-z0-9._-]+$",
        description="name of this feature worker; {host} is replaced by the host's name",
    )
    worker_max_batch: int = Field(
        2000, ge=1, le=100_000, description="most transactions that one write to Redis covers"
    )
    unfolded_log: bool = Field(
        True,
        description="whether features include what is not folded yet; false, for experiments, leaves them "
        "as old as the last batch of a worker on Spark",
    )
    tail_max_records: int = Field(
        500_000, ge=1000, description="most transactions the reader keeps beyond the watermarks"
    )
    pending_wait_ms: int = Field(
        20, ge=0, le=1000, description="longest wait of HTTP for its own log reader, ms"
    )
    catch_up_beyond: int = Field(
        100_000,
        ge=1_000,
        description="a slot lagging by more records than this is caught up apart; the others do not wait",
    )
    session_timeout_ms: int = Field(
        10_000,
        ge=1_000,
        le=300_000,
        description="silence after which Kafka assigns a worker's or scorer's share to others, ms",
    )

    # Scorer
    scorer_name: Name = Field(
        "scorer-0",
        pattern=r"^[A-Za-z0-9._-]+$",
        description="name of this scorer process; {host} is replaced by the host's name",
    )
    http_host: str = Field("127.0.0.1", description="address the HTTP API binds to")
    http_hosts: str = Field(
        "localhost,127.0.0.1,::1",
        description="names, separated by commas, by which clients may ask the HTTP API, beside its address",
    )
    http_port: int = Field(8000, ge=0, le=65535, description="port of the HTTP API; 0 takes a free one")
    http_durability: Literal["async", "acked"] = Field(
        "async", description="reply before (async) or after (acked) the broker has the transaction"
    )
    http_max_body_bytes: int = Field(
        16_384, ge=1024, le=1_048_576, description="largest accepted HTTP body, bytes"
    )
    http_max_batch_body_bytes: int = Field(
        1_048_576, ge=1024, le=16_777_216, description="largest accepted HTTP body of a batch, bytes"
    )
    http_max_concurrent: int = Field(
        64, ge=1, le=10_000, description="most HTTP requests decided at once; others queue, then get 503"
    )
    http_queue_ms: int = Field(
        25, ge=0, le=10_000, description="longest wait of an HTTP request for its turn, ms; then 503"
    )
    http_token: SecretStr = Field(SecretStr(""), description="bearer token that /v1 requires; empty: none")
    http_replies_max_bytes: int = Field(
        134_217_728,
        ge=1_048_576,
        description="most bytes of Redis for one scorer's kept HTTP replies; near it they are kept less long",
    )
    features_lag: Annotated[str, AfterValidator(_check_lag)] = Field(
        "0s",
        description="age in event time at which an event enters the scorer's features: 10s, 5m, 1h or 1d; "
        "for experiments",
    )
    deadline_ms: int = Field(
        50,
        ge=5,
        le=10_000,
        description="time limit of one HTTP decision, ms; if the state is not read in time it is degraded",
    )

    # The live page
    page_host: str = Field("127.0.0.1", description="address the live page binds to")
    page_hosts: str = Field(
        "localhost,127.0.0.1,::1",
        description="names, separated by commas, by which browsers may ask the live page, beside its address",
    )
    page_port: int = Field(8050, ge=0, le=65535, description="port of the live page; 0 takes a free one")
    page_key: Annotated[SecretStr, AfterValidator(_check_page_key)] = Field(
        SecretStr(""),
        description="key in the address of the live page; empty: a new one at each start",
    )
    page_control_token: Annotated[SecretStr, AfterValidator(_check_page_key)] = Field(
        SecretStr(""),
        description="token by which the live page takes controls; empty: a new one at each start",
    )
    controls: bool = Field(
        False, description="whether producer, label feed and live page follow controls, see docs/page.md"
    )

    # Observability
    metrics_host: str = Field("127.0.0.1", description="address the metrics ports bind to")
    metrics_port: int = Field(
        0, ge=0, le=65535, description="Prometheus port of this process; 0 takes a free one"
    )
    log_format: Literal["json", "text"] = Field("json", description="structured log output")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="lowest level logged")

    # Live sender
    sender: Literal["kafka-python", "confluent"] = Field(
        "kafka-python", description="Kafka client that sends live traffic; confluent is in the extra load"
    )
    tick_ms: int | None = Field(
        None,
        ge=1,
        le=100,
        description="interval of sending what is due, ms; unset: by rate, cores and lateness",
    )

    # World, labels, model
    seed: int = Field(7, ge=0, description="seed of the synthetic world")
    world: dict[str, float] = Field(
        {}, description="parameters of the world by name: FRAUDSIM_WORLD__CAMOUFLAGE=0.8; see docs/world.md"
    )
    label_delays: dict[str, float] = Field(
        {}, description="who reports fraud, how late, how wrongly: FRAUDSIM_LABEL_DELAYS__NEVER=0.1"
    )
    consequences: dict[str, float] = Field(
        {}, description="what decisions do and cost: FRAUDSIM_CONSEQUENCES__BLOCK_HOURS=48"
    )
    footprint: dict[str, float] = Field(
        {}, description="prices and sizes of `study value`: FRAUDSIM_FOOTPRINT__BROKER=300"
    )
    label_gap_days: float = Field(
        7, ge=0, le=365, description="days between the end of training and the test period"
    )

    @property
    def features_lag_ms(self) -> int:
        """`features_lag` in ms."""
        return duration_ms(self.features_lag)


def variable(field: str) -> str:
    """The environment variable of a settings field."""
    return PREFIX + field.upper()


@lru_cache(maxsize=1)
def load_settings() -> Settings:
    """The settings from the environment, read once per process.

    Where they name neither Kafka nor Redis, the addresses of the line that runs in the newest run folder are
    taken, if one runs.

    Raises:
        FraudsimError: a variable has a value that is not allowed or a misspelt name, or `.env` cannot be
            read; the message names it.
    """
    try:
        _check_names()
        return _with_running_line(Settings())
    except (UnicodeDecodeError, OSError) as error:
        problem = getattr(error, "strerror", None) or "it is not UTF-8"
        raise FraudsimError(f"{Path('.env').absolute()}: {problem}; mend or remove it") from None
    except SettingsError as error:  # a setting of several values that is no JSON
        field = re.search(r'field "(\w+)"', str(error))
        name = variable(field[1]) if field else PREFIX + "…"
        raise FraudsimError(
            f"setting {name}={os.environ.get(name, 'in .env')}: is not a JSON object; "
            f"or set its parts one by one, as {name}__NAME=1"
        ) from None
    except ValidationError as error:
        first = error.errors()[0]
        name = variable("__".join(map(str, first["loc"]))) if first["loc"] else PREFIX + "…"
        value = mask_password(repr(first.get("input")))
        raise FraudsimError(f"setting {name}={value}: {first['msg'].removeprefix('Value error, ')}") from None


def _check_names() -> None:
    """Refuse a variable whose name is nearly a setting's: it would be ignored, and the default taken."""
    variables = [variable(field) for field in Settings.model_fields]
    for name in sorted({*os.environ, *dotenv_values(".env")}):
        setting = name.upper().partition("__")[0]
        if not setting.startswith(PREFIX) or setting in variables:
            continue
        near = difflib.get_close_matches(setting, variables, n=1, cutoff=NEAR)
        if near:
            raise FraudsimError(
                f"setting {name}: there is none of this name; rename it to {near[0]}, or unset it "
                "(`fraudsim settings` lists all)"
            )


def _with_running_line(settings: Settings) -> Settings:
    if settings.model_fields_set & {"kafka_bootstrap", "redis_url"}:
        return settings
    line = running_line(settings.runs_dir / "latest")
    if line is None:
        return settings
    return settings.model_copy(update={"kafka_bootstrap": line.kafka_bootstrap, "redis_url": line.redis_url})


def with_features_lag(settings: Settings, lag: str | None, option: str = "--features-lag") -> Settings:
    """The settings with a lag of the features; without a `lag`, that of the settings themselves.

    Args:
        option: names the lag in messages.

    Raises:
        FraudsimError: the lag is no duration, or the unfolded log that it leaves unused is configured too.
    """
    if lag is not None:
        try:
            settings = settings.model_copy(update={"features_lag": _check_lag(lag)})
        except ValueError as error:
            raise FraudsimError(f"{option} {lag}: {error}") from None
    if settings.features_lag_ms and "tail_max_records" in settings.model_fields_set:
        raise FraudsimError(
            f"features lag {settings.features_lag} leaves the unfolded log out, so "
            f"{variable('tail_max_records')}={settings.tail_max_records} contradicts it: unset one of them"
        )
    return settings
