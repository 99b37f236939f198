"""The commands `fraudsim schemas`, `fraudsim settings` and `fraudsim topics`."""

import typer

app = typer.Typer()


@app.command()
def schemas(
    check: bool = typer.Option(
        False, "--check", help="only say whether the committed schemas are up to date"
    ),
) -> None:
    """Write the JSON Schemas of the events, or check them for drift."""
    from fraudsim.log.schemas import drifted_events, write_schemas

    if check:
        names = drifted_events()
        if names:
            typer.echo(f"drifted: {', '.join(names)}; run `fraudsim schemas` and commit")
            raise typer.Exit(1)
        typer.echo("schemas are up to date")
        return
    for path in write_schemas():
        typer.echo(path)


@app.command()
def settings() -> None:
    """Print every setting: its variable, value and meaning."""
    from fraudsim.addresses import mask_password
    from fraudsim.settings import Settings, load_settings, variable

    values = load_settings()
    for name, field in Settings.model_fields.items():
        typer.echo(f"{variable(name)}={mask_password(str(getattr(values, name)))}  # {field.description}")


@app.command()
def topics() -> None:
    """Create the run's topics on Kafka; existing ones are checked, put right where possible, and kept."""
    from fraudsim.log.topics import create_topics
    from fraudsim.log.topics import topics as required_topics
    from fraudsim.settings import load_settings

    for sentence in create_topics(load_settings()):
        typer.echo(sentence)
    for topic in required_topics(load_settings()):
        typer.echo(f"{topic.name}  {topic.partitions} partitions")
