"""The published schemas are the code's own: they refuse what is wrong and nothing that is right."""

from collections.abc import Iterator
from copy import deepcopy
from functools import reduce
from operator import getitem
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from shared.configuration import InvalidConfiguration, parse
from shared.configuration.files import PARTS, SHIPPED, read_document
from shared.configuration.schemas import schemas
from shared.runtime import UserError
from tests.admin.commands import myaku
from tests.shared.test_configuration import FILES, write

VALIDATORS = {part: Draft202012Validator(schema) for part, schema in schemas().items()}


def faults(document: dict[str, Any]) -> list[str]:
    """What the schemas say of a document."""
    return [
        error.message
        for part in PARTS
        if part in document
        for error in VALIDATORS[part].iter_errors(document[part])
    ]


def texts(directory: Path) -> dict[str, str]:
    """The files of a directory."""
    return {path.name: path.read_text() for path in directory.iterdir()}


async def test_the_committed_schemas_are_what_the_code_says(tmp_path: Path) -> None:
    said = await myaku("config", "schema", str(tmp_path))
    assert said.status == 0, said.error
    assert texts(tmp_path) == texts(SHIPPED / "schemas"), "run `myaku config schema config/schemas`"
    for schema in schemas().values():
        Draft202012Validator.check_schema(schema)


@pytest.mark.parametrize("part", PARTS)
def test_each_file_names_its_schema_for_editors(part: str) -> None:
    first, _, _ = (SHIPPED / f"{part}.yaml").read_text().partition("\n")
    assert first == f"# yaml-language-server: $schema=schemas/{part}.schema.json"
    assert (SHIPPED / f"schemas/{part}.schema.json").exists()


@pytest.mark.parametrize("part", PARTS)
def test_every_key_is_explained(part: str) -> None:
    silent = [
        f"{name}.{key}"
        for name, type_ in schemas()[part]["$defs"].items()
        for key, schema in type_.get("properties", {}).items()
        if "description" not in schema
    ]
    assert not silent


def test_the_shipped_configuration_is_right() -> None:
    assert faults(read_document(SHIPPED)) == []


@pytest.mark.parametrize(
    ("part", "old", "new"),
    [
        ("product", "time_zone", "timezone"),
        ("product", '["*"]', "7"),
        ("product", "active:", "Active:"),
        ("scorecards", "count: active, window", "count: a, sum: b, window"),
        ("scorecards", "{count: active, window: 28d}", "{of: x}"),
        ("scorecards", ", window: 28d", ""),
        ("scorecards", "window: 28d", "window: 28d, of: x"),
        ("scorecards", "window: 28d", "window: 4w"),
        ("scorecards", "window: 28d", "window: 28d, speed: 1"),
        ("scorecards", "{ratio: [uses, profile.seats]}", "{ratio: [uses]}"),
        ("scorecards", "profile.size", "size"),
        ("scorecards", "[9, 100]", "[9, 101]"),
        ("scorecards", "[9, 100]", "[9]"),
        ("scorecards", "weight: 1", "weight: 0"),
        ("scorecards", "critical: 0", "critical: -1"),
        ("alerts", "for: 1h", "for: 1 hour"),
        ("alerts", "severity: critical", "severity: awful"),
        ("alerts", "kind: threshold", "kind: magic"),
        ("alerts", "id: low_health", "id: Low"),
        ("alerts", "    title: Health is low\n", ""),
        ("routing", "to: [log, hook]", "to: []"),
        ("routing", "[profile.csm]", "[csm]"),
        ("routing", "secret://HOOK", "hunter2"),
        ("routing", "fallback: cs@example.com\n", ""),
        ("matrix", "levels: [1, 5]", "levels: []"),
        ("matrix", "{stage: growing, action: sell}", "{action: sell}"),
        ("onboarding", "due: 7d", "due: 1w"),
        ("onboarding", "late: 50", "late: 101"),
        ("success_map", "who: us, ", ""),
    ],
)
def test_what_is_wrong_is_refused_by_schema_and_check(
    tmp_path: Path, part: str, old: str, new: str
) -> None:
    right = {name: yaml.safe_load(text) for name, text in FILES.items()}
    assert faults(right) == []
    write(tmp_path, part, old, new)
    wrong = right | {part: yaml.safe_load((tmp_path / f"{part}.yaml").read_text())}
    assert faults(wrong)
    with pytest.raises(UserError):
        read_document(tmp_path)


ABSENT = object()
VALUES: tuple[Any, ...] = (
    *("28d", "1d", "2h", "0s", "7w", "*", "active", "profile.size", "secret://A", "log", "webhook"),
    *("below", "above", "info", "UTC", "small", "", 0, 1, 55, 0.5, -3, True),
    *([], {}, ["*"], [[0, 0]], [["uses", 1]], {"a": 1}, ["uses", "profile.seats"]),
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place inside a document, by its path."""
    if not isinstance(value, dict | list):
        return []
    keys = list(value) if isinstance(value, dict) else range(len(value))
    found = [(*path, key) for key in keys]
    return found + [place for key in keys for place in places(value[key], (*path, key))]


def edits(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The document with each of its places taken out, or filled with each of the values."""
    for *way, last in places(document):
        if not way:
            continue
        for value in (ABSENT, *VALUES):
            edited = deepcopy(document)
            parent = reduce(getitem, way, edited)
            if value is ABSENT:
                del parent[last]
            else:
                parent[last] = value
            yield edited


def test_no_editor_calls_wrong_what_the_checks_accept() -> None:
    document = {name: yaml.safe_load(text) for name, text in FILES.items()}
    document["alerts"] = read_document(SHIPPED)["alerts"]  # with every key
    accepted = 0
    for edited in edits(document):
        try:
            parse(edited)
        except InvalidConfiguration:
            continue
        accepted += 1
        assert faults(edited) == [], edited
    assert accepted > 200
