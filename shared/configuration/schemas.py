"""JSON Schemas of the documents, from the very types that read them: for editors. Pure."""

from typing import Any

import msgspec

from shared.configuration.types import Configuration

DIALECT = "https://json-schema.org/draft/2020-12/schema"
NOT_GIVEN = ("default", None)


def schemas() -> dict[str, dict[str, Any]]:
    """The schema of each part of a configuration, by the part's name.

    What a schema cannot say, such as that a name is one of a metric, only the checks say.
    """
    return {
        part.name: {"$schema": DIALECT, "title": f"{part.name}.yaml"}
        | _without_null(msgspec.json.schema(part.type))
        for part in msgspec.structs.fields(Configuration)
    }


def _without_null(schema: Any) -> Any:
    """What is not given is left out: in a file, nothing is null."""
    if isinstance(schema, list):
        return [_without_null(each) for each in schema if each != {"type": "null"}]
    if not isinstance(schema, dict):
        return schema
    kept = {key: _without_null(schema[key]) for key in schema if (key, schema[key]) != NOT_GIVEN}
    match kept.pop("anyOf", []):
        case []:
            return kept
        case [only]:
            return only | kept
        case choices:
            return kept | {"anyOf": choices}
