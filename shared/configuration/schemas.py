"""JSON Schemas of the documents, from the very types that read them: for editors. Pure."""

from typing import Any

import msgspec

from shared.configuration.types import Configuration

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schemas() -> dict[str, dict[str, Any]]:
    """The schema of each part of a configuration, by the part's name.

    What a schema cannot say, such as that a name is one of a metric, only the checks say.
    """
    return {
        part.name: {"$schema": DIALECT, "title": f"{part.name}.yaml"}
        | msgspec.json.schema(part.type)
        for part in msgspec.structs.fields(Configuration)
    }
