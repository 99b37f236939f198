"""The console script's commands, and the schemas that one of them writes."""


def test_the_committed_schemas_are_those_of_the_events():
    from fraudsim.log.schemas import drifted_events

    assert drifted_events() == []


def test_every_command_says_what_it_does():
    from typer.main import get_command

    from fraudsim.cli import build

    def walk(command, path):
        assert command.help, path
        for name, child in getattr(command, "commands", {}).items():
            walk(child, f"{path} {name}")

    walk(get_command(build()), "fraudsim")
