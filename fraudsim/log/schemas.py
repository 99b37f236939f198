"""The JSON Schemas of the events. They are committed, written from the structs and checked for drift."""

import json
from pathlib import Path

import msgspec

from fraudsim.log.events import EVENTS

FOLDER = Path(__file__).parent / "schemas"


def schema_text(event: type[msgspec.Struct]) -> str:
    """The JSON Schema of one event, as it is committed."""
    (schema,), components = msgspec.json.schema_components([event], ref_template="#/$defs/{name}")
    document = {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "$defs": components}
    return json.dumps(document, indent=2, sort_keys=True) + "\n"


def schema_path(event: type[msgspec.Struct]) -> Path:
    return FOLDER / f"{event.__name__.lower()}.schema.json"


def write_schemas() -> list[Path]:
    """Write every schema; returns the files."""
    FOLDER.mkdir(exist_ok=True)
    for event in EVENTS:
        schema_path(event).write_text(schema_text(event))
    return [schema_path(event) for event in EVENTS]


def drifted_events() -> list[str]:
    """Names of the events whose committed schema differs from their struct."""
    return [
        event.__name__
        for event in EVENTS
        if not schema_path(event).exists() or schema_path(event).read_text() != schema_text(event)
    ]
