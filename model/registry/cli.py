"""`fraudsim model check | put | list | promote | rollback | challenge | shadow | stop | shadows`."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from fraudsim.errors import FraudsimError
from fraudsim.process.terminal import plain_console
from model.artefact.manifest import Manifest
from model.registry.aliases import Aliases

model = typer.Typer(
    no_args_is_help=True, help="The models: check one, put it into a registry, say which of them decide."
)

NewModel = Annotated[Path, typer.Argument(help="folder of a model")]
VersionPrefix = Annotated[str, typer.Argument(help="version in the registry, or how it begins")]
RegistryFolder = Annotated[
    Path | None,
    typer.Option("--at", help="folder of the registry that a scorer watches  [default: FRAUDSIM_MODEL_DIR]"),
]


Reason = Annotated[str, typer.Option(help="why, for the audit log")]


@model.command()
def check(directory: NewModel) -> None:
    """Check a model as the scorer does, and show what it is."""

    from model.artefact.files import load_model
    from model.report.model_table import model_table
    from model.report.variants_table import variants_table

    console = plain_console()
    loaded = load_model(directory)
    console.print(model_table(loaded.manifest))
    if len(loaded.kinds) > 1:
        console.print(variants_table(loaded))
    console.print(f"features {loaded.manifest.catalogue_hash}, data {loaded.manifest.data_fingerprint[:16]}")


@model.command()
def put(new: NewModel, at: RegistryFolder = None) -> None:
    """Check a model and copy it into a registry; the first one there is its champion."""
    from model.registry.versions import add_version

    manifest, aliases = add_version(new, _registry_folder(at))
    role = aliases.role_of(manifest.version)
    typer.echo(f"{manifest.version} is in the registry" + (f", as its {role}" if role else ""))


@model.command("list")
def list_models(at: RegistryFolder = None) -> None:
    """List the versions of a registry: what each does, and how it tested."""
    from rich.table import Table

    from model.registry.versions import load_manifests, read_aliases

    aliases, manifests = read_aliases(_registry_folder(at)), load_manifests(_registry_folder(at))
    table = Table()
    for title in ("version", "role", "trained on", "average precision", "AUC", "cost"):
        table.add_column(title, justify="left" if title in ("version", "role") else "right")
    for manifest in manifests:
        table.add_row(manifest.version, _role_text(aliases, manifest.version), *_figures(manifest))
    console = plain_console(least_width=100)
    console.print(table)
    console.print(
        "Each is tested on the days after its own training; cost is that of approving everything = 1."
    )


@model.command()
def promote(version: VersionPrefix, at: RegistryFolder = None, reason: Reason = "") -> None:
    """Make a version the champion; the one until now is kept loaded for a rollback."""
    from model.registry import aliases

    folder = _registry_folder(at)
    whole_version = _servable_version(folder, version)
    _change_roles(folder, lambda before: aliases.promote(before, whole_version), "promote", reason)


@model.command()
def rollback(at: RegistryFolder = None, reason: Reason = "") -> None:
    """Exchange the champion for the one before; again, and the newer one is back."""
    from model.registry import aliases

    _change_roles(_registry_folder(at), aliases.roll_back, "rollback", reason)


@model.command()
def challenge(
    version: VersionPrefix,
    share: Annotated[float, typer.Option(help="share of the cards that it decides for, such as 0.1")],
    salt: Annotated[
        str | None, typer.Option(help="another salt gives it other cards  [default: as it is]")
    ] = None,
    at: RegistryFolder = None,
    reason: Reason = "",
) -> None:
    """Have a version decide for a share of the cards beside the champion."""
    from model.registry import aliases

    folder = _registry_folder(at)
    whole_version = _servable_version(folder, version)
    _change_roles(
        folder, lambda before: aliases.add_challenger(before, whole_version, share, salt), "challenge", reason
    )


@model.command()
def shadow(version: VersionPrefix, at: RegistryFolder = None, reason: Reason = "") -> None:
    """Have a version score what the champion decided, without deciding anything."""
    from model.registry import aliases

    folder = _registry_folder(at)
    whole_version = _servable_version(folder, version)
    _change_roles(folder, lambda before: aliases.add_shadow(before, whole_version), "shadow", reason)


@model.command()
def stop(version: VersionPrefix, at: RegistryFolder = None, reason: Reason = "") -> None:
    """Take a challenger or a shadow out; what it decided stands."""
    from model.registry import aliases

    folder = _registry_folder(at)
    whole_version = version_of_prefix(folder, version)
    _change_roles(folder, lambda before: aliases.remove(before, whole_version), "stop", reason)


@model.command()
def diff(
    before: VersionPrefix, after: Annotated[str, typer.Argument(help="the other")], at: RegistryFolder = None
) -> None:
    """Show in what two versions differ: data, parameters, code, figures, and what they were trained for."""
    from model.registry.lineage import differences

    folder = _registry_folder(at)
    first, second = (version_of_prefix(folder, prefix) for prefix in (before, after))
    for field, old, new in differences(folder, first, second):
        typer.echo(f"{field}: {old or '-'} -> {new or '-'}")


@model.command()
def audit(at: RegistryFolder = None) -> None:
    """Show who or what changed which roles, when and why; the oldest first."""
    from datetime import UTC, datetime

    from model.registry.audit import read_audit

    entries = read_audit(_registry_folder(at))
    for entry in entries:
        when = datetime.fromtimestamp(entry.at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
        versions = dict.fromkeys([*entry.after.versions, *(entry.before.versions if entry.before else [])])
        changes = []
        for version in versions:
            old = entry.before.role_of(version) if entry.before else None
            new = entry.after.role_of(version)
            if old != new:
                changes.append(f"{version} {old or 'nothing'} -> {new or 'nothing'}")
        actor = f"{entry.actor} by {entry.user}" if entry.user else entry.actor
        typer.echo(
            f"{when}  {actor}: {', '.join(changes) or 'shares'}" + (f"; {entry.reason}" * bool(entry.reason))
        )
    if not entries:
        typer.echo("no change is recorded: the registry is of an earlier version, or nothing has changed")


@model.command()
def shadows(
    url: Annotated[
        str | None, typer.Option(help="a scorer's HTTP API  [default: by FRAUDSIM_HTTP_HOST and …_PORT]")
    ] = None,
) -> None:
    """Show how the shadows of a running scorer differ from its champion."""
    from rich.table import Table

    served = _get_served_model(url)
    console = plain_console()
    if not served.shadows:
        console.print(f"champion {served.version} has no shadow: `fraudsim model shadow VERSION` makes one")
    for tally in served.shadows:
        compared = max(1, tally.compared)
        table = Table(
            title=f"{tally.version} beside champion {served.version}: {tally.compared:,} compared, "
            f"{tally.agreed / compared:.2%} agree, score {tally.mean_difference:+.6f} on average"
        )
        for title in ("champion wants", "shadow wants", "decisions", "share"):
            table.add_column(title, justify="left" if title.endswith("wants") else "right")
        for actions, count in sorted(tally.differed.items(), key=lambda item: -item[1]):
            table.add_row(*actions.split(">"), f"{count:,}", f"{count / compared:.3%}")
        console.print(table)
    if served.shadows_dropped:
        console.print(f"{served.shadows_dropped:,} were not compared: too many waited")


class ShownShadow(msgspec.Struct):
    """How one shadow differs from the champion."""

    version: str
    compared: int
    agreed: int
    mean_difference: float
    differed: dict[str, int]


class ShownModel(msgspec.Struct):
    """The part of the reply to `GET /v1/model` that is shown."""

    version: str
    shadows: list[ShownShadow]
    shadows_dropped: int


def _get_served_model(url: str | None) -> ShownModel:
    import urllib.request
    from http.client import HTTPException
    from urllib.error import HTTPError, URLError

    from fraudsim.addresses import http_url, open_direct
    from fraudsim.settings import load_settings

    settings = load_settings()
    base = (url or http_url(settings.http_host, settings.http_port)).rstrip("/")
    if not base.startswith(("http://", "https://")):
        raise FraudsimError(f"--url {base}: it does not begin with http:// or https://")
    token = settings.http_token.get_secret_value()
    try:
        request = urllib.request.Request(f"{base}/v1/model")  # noqa: S310
        if token:
            request.add_header("Authorization", f"Bearer {token}")
        with open_direct(request, timeout_s=5) as reply:
            return msgspec.json.decode(reply.read(), type=ShownModel)
    except (OSError, ValueError, HTTPException, msgspec.DecodeError) as error:
        if isinstance(error, HTTPError):
            problem = f"{error.code} {error.reason}"
        elif isinstance(error, URLError):
            problem = getattr(error.reason, "strerror", None) or str(error.reason)
        else:
            problem = str(error) or type(error).__name__
        raise FraudsimError(
            f"--url {base}: {' '.join(problem.split())}; name the HTTP API of a scorer that runs"
        ) from None


def _registry_folder(at: Path | None) -> Path:
    from fraudsim.settings import load_settings

    return at or load_settings().model_dir


def version_of_prefix(registry: Path, prefix: str) -> str:
    """The version that begins with a prefix. Raises FraudsimError if none does, or several."""
    from model.registry.versions import list_versions, read_aliases

    read_aliases(registry)
    versions = list_versions(registry)
    matches = [version for version in versions if version.startswith(prefix)]
    if len(matches) != 1:
        problem = f"{len(matches)} begin so" if matches else "there is none"
        raise FraudsimError(
            f"version {prefix!r}: {problem} in {registry}; it has {', '.join(versions) or 'none'}"
        )
    return matches[0]


def _servable_version(registry: Path, prefix: str) -> str:
    """The version that begins with a prefix, checked as the scorer will check it when it loads it."""
    from model.artefact.files import load_model
    from model.registry.versions import folder_of

    version = version_of_prefix(registry, prefix)
    load_model(folder_of(registry, version))
    return version


def _change_roles(registry: Path, change: Callable[[Aliases], Aliases], command: str, reason: str) -> None:
    """Change the roles, record who did, and print the new ones."""
    from model.registry.audit import Cause
    from model.registry.versions import change_aliases

    aliases = change_aliases(registry, change, Cause(actor=f"model {command}", reason=reason))
    for version in aliases.versions:
        typer.echo(f"{version}  {_role_text(aliases, version)}")


def _role_text(aliases: Aliases, version: str) -> str:
    role = aliases.role_of(version)
    if role == "challenger":
        share = next(c.share for c in aliases.challengers if c.version == version)
        return f"challenger, {share:.2%} of the cards"
    return role or ""


def _figures(manifest: Manifest) -> tuple[str, str, str, str]:
    metrics = manifest.metrics

    def figure(value: float | None) -> str:
        return "-" if value is None else f"{value:.4f}"

    rows = f"{metrics.train_rows:,}"
    return rows, figure(metrics.average_precision), figure(metrics.auc), figure(metrics.cost_share)
