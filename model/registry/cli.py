"""`fraudsim model check | put | list | promote | rollback | challenge | shadow | stop | shadows`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from fraudsim.errors import FraudsimError
from model.artefact.manifest import Manifest
from model.registry.aliases import Aliases

model = typer.Typer(
    no_args_is_help=True, help="The models: check one, put it into a registry, say which of them decide."
)

New = Annotated[Path, typer.Argument(help="folder of a model")]
Version = Annotated[str, typer.Argument(help="version in the registry, or how it begins")]
At = Annotated[
    Path | None,
    typer.Option("--at", help="folder of the registry that a scorer watches  [default: FRAUDSIM_MODEL_DIR]"),
]


@model.command()
def check(directory: New) -> None:
    """Check a model as the scorer does, and show what it is."""
    from rich.console import Console

    from model.artefact.files import load_model
    from model.registry.sacrifice import sacrifices
    from model.registry.summary import summary

    console = Console()
    loaded = load_model(directory)
    console.print(summary(loaded.manifest))
    if len(loaded.kinds) > 1:
        console.print(sacrifices(loaded))
    console.print(f"features {loaded.manifest.catalogue_hash}, data {loaded.manifest.data_fingerprint[:16]}")


@model.command()
def put(new: New, at: At = None) -> None:
    """Check a model and copy it into a registry; the first one there is its champion."""
    from model.registry import versions as registry

    manifest, aliases = registry.put(new, _at(at))
    role = aliases.role_of(manifest.version)
    typer.echo(f"{manifest.version} is in the registry" + (f", as its {role}" if role else ""))


@model.command("list")
def list_versions(at: At = None) -> None:
    """List the versions of a registry: what each does, and how it tested."""
    from rich.console import Console
    from rich.table import Table

    from model.registry import versions as registry

    aliases, kept = registry.read_aliases(_at(at)), registry.manifests(_at(at))
    table = Table()
    for title in ("version", "role", "trained on", "average precision", "AUC", "cost"):
        table.add_column(title, justify="left" if title in ("version", "role") else "right")
    for manifest in kept:
        table.add_row(manifest.version, _role(aliases, manifest.version), *_figures(manifest))
    console = Console(width=max(100, Console().width))
    console.print(table)
    console.print(
        "Each is tested on the days after its own training; cost is that of approving everything = 1."
    )


@model.command()
def promote(version: Version, at: At = None) -> None:
    """Make a version the champion; the one until now is kept loaded for a rollback."""
    from model.registry import aliases

    place = _at(at)
    full = _checked(place, version)
    _change(place, lambda before: aliases.promoted(before, full))


@model.command()
def rollback(at: At = None) -> None:
    """Exchange the champion for the one before; again, and the newer one is back."""
    from model.registry import aliases

    _change(_at(at), aliases.rolled_back)


@model.command()
def challenge(
    version: Version,
    share: Annotated[float, typer.Option(help="share of the cards that it decides for, such as 0.1")],
    salt: Annotated[
        str | None, typer.Option(help="another salt gives it other cards  [default: as it is]")
    ] = None,
    at: At = None,
) -> None:
    """Have a version decide for a share of the cards beside the champion."""
    from model.registry import aliases

    place = _at(at)
    full = _checked(place, version)
    _change(place, lambda before: aliases.challenged(before, full, share, salt))


@model.command()
def shadow(version: Version, at: At = None) -> None:
    """Have a version score what the champion decided, without deciding anything."""
    from model.registry import aliases

    place = _at(at)
    full = _checked(place, version)
    _change(place, lambda before: aliases.shadowed(before, full))


@model.command()
def stop(version: Version, at: At = None) -> None:
    """Take a challenger or a shadow out; what it decided stands."""
    from model.registry import aliases

    place = _at(at)
    full = _full(place, version)
    _change(place, lambda before: aliases.stopped(before, full))


@model.command()
def shadows(
    url: Annotated[
        str | None, typer.Option(help="a scorer's HTTP API  [default: by FRAUDSIM_HTTP_HOST and …_PORT]")
    ] = None,
) -> None:
    """Show how the shadows of a running scorer differ from its champion."""
    from rich.console import Console
    from rich.table import Table

    reply = _asked(url)
    console = Console()
    if not reply["shadows"]:
        console.print(f"champion {reply['version']} has no shadow: `fraudsim model shadow VERSION` makes one")
    for each in reply["shadows"]:
        compared = max(1, each["compared"])
        table = Table(
            title=f"{each['version']} beside champion {reply['version']}: {each['compared']:,} compared, "
            f"{each['agreed'] / compared:.2%} agree, score {each['mean_difference']:+.6f} on average"
        )
        for title in ("champion wants", "shadow wants", "decisions", "share"):
            table.add_column(title, justify="left" if title.endswith("wants") else "right")
        for pair, count in sorted(each["differed"].items(), key=lambda item: -item[1]):
            table.add_row(*pair.split(">"), f"{count:,}", f"{count / compared:.3%}")
        console.print(table)
    if reply["shadows_dropped"]:
        console.print(f"{reply['shadows_dropped']:,} were not compared: too many waited")


def _asked(url: str | None) -> Any:
    """What `GET /v1/model` says."""
    import urllib.request
    from urllib.error import URLError

    import msgspec

    from fraudsim.settings import load_settings

    settings = load_settings()
    base = (url or f"http://{settings.http_host}:{settings.http_port}").rstrip("/")
    if not base.startswith(("http://", "https://")):
        raise FraudsimError(f"--url {base}: it does not begin with http:// or https://")
    token = settings.http_token.get_secret_value()
    try:
        request = urllib.request.Request(f"{base}/v1/model")  # noqa: S310
        if token:
            request.add_header("Authorization", f"Bearer {token}")
        with urllib.request.urlopen(request, timeout=5) as reply:  # noqa: S310
            return msgspec.json.decode(reply.read())
    except (URLError, OSError, ValueError) as error:
        raise FraudsimError(f"--url {base}: {error}; name the HTTP API of a scorer that runs") from None


def _at(given: Path | None) -> Path:
    from fraudsim.settings import load_settings

    return given or load_settings().model_dir


def _full(registry_dir: Path, version: str) -> str:
    """The version that begins so. Raises FraudsimError where none does, or several."""
    from model.registry import versions as registry

    registry.read_aliases(registry_dir)
    kept = registry.versions(registry_dir)
    found = [each for each in kept if each.startswith(version)]
    if len(found) != 1:
        fitting = f"{len(found)} begin so" if found else "there is none"
        raise FraudsimError(
            f"version {version!r}: {fitting} in {registry_dir}; it has {', '.join(kept) or 'none'}"
        )
    return found[0]


def _checked(registry_dir: Path, version: str) -> str:
    """The version that begins so, loaded as the scorer will: what it would refuse is refused here."""
    from model.artefact.files import load_model
    from model.registry.versions import folder_of

    full = _full(registry_dir, version)
    load_model(folder_of(registry_dir, full))
    return full


def _change(registry_dir: Path, how: Any) -> None:
    from model.registry import versions as registry

    after = registry.change(registry_dir, how)
    for version in after.versions:
        typer.echo(f"{version}  {_role(after, version)}")


def _role(aliases: Aliases, version: str) -> str:
    role = aliases.role_of(version)
    if role == "challenger":
        share = next(each.share for each in aliases.challengers if each.version == version)
        return f"challenger, {share:.2%} of the cards"
    return role or ""


def _figures(manifest: Manifest) -> tuple[str, str, str, str]:
    metrics = manifest.metrics

    def shown(value: float | None) -> str:
        return "-" if value is None else f"{value:.4f}"

    rows = f"{metrics.train_rows:,}"
    return rows, shown(metrics.average_precision), shown(metrics.auc), shown(metrics.cost_share)
