"""The outcome for machines; docs/gate.md tells its fields."""

from __future__ import annotations

import json

from pydantic import TypeAdapter

from harness.gate.verdict import Gate

SCHEMA_VERSION = 1


def render(gate: Gate) -> str:
    """One object: `Gate` by its fields' names, with `schema_version`; numbers unrounded."""
    told = TypeAdapter(Gate).dump_python(gate, mode="json")
    text = json.dumps({"schema_version": SCHEMA_VERSION, **told}, indent=2)
    # A workflow takes '##[' for a command anywhere in a line of its log; this is the same text.
    return text.replace("##[", "#\\u0023[")
