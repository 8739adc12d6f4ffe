"""The configuration directory: YAML files in, a checked document out; faults with file and line."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import yaml

from shared.configuration.checks import parse
from shared.configuration.types import Configuration, InvalidConfiguration
from shared.runtime import UserError

PARTS = tuple(part.name for part in msgspec.structs.fields(Configuration))
SHIPPED = Path(__file__).resolve().parents[2] / "config"
KUSTOMIZATION = "kustomization.yaml"
"""May stand beside the parts, so that Kubernetes can be given the directory."""
TEXT, MERGE, NULL = (f"tag:yaml.org,2002:{name}" for name in ("str", "merge", "null"))


def read_document(directory: Path) -> dict[str, Any]:
    """The document of a configuration directory. Raises UserError, a line for each fault found.

    Each says file, line and what was expected. A file that is not there is taken from the shipped
    configuration.
    """
    nodes: dict[str, tuple[Path, yaml.Node | None]] = {}
    document: dict[str, Any] = {}
    if not directory.is_dir():
        raise UserError(f"The configuration directory {directory} does not exist.")
    shipped = shipped_parts(directory)
    if len(shipped) == len(PARTS):
        files = ", ".join(f"{part}.yaml" for part in PARTS)
        raise UserError(f"The configuration directory {directory} holds none of {files}.")
    for part in PARTS:
        place = SHIPPED if part in shipped else directory
        nodes[part], document[part] = _read(place / f"{part}.yaml")
    try:
        parse(document)
    except InvalidConfiguration as error:
        lines = []
        for fault in error.faults:
            path, node = nodes.get(str(fault.path[0]) if fault.path else "", (directory, None))
            where = f"{path}:{_line(node, fault.path[1:])}" if node else str(path)
            lines.append(f"{where}: {_dotted(fault.path)}{fault.problem}")
        raise UserError("\n".join(lines)) from None
    return document


def shipped_parts(directory: Path) -> list[str]:
    """The parts that a configuration directory leaves as they are shipped."""
    return [part for part in PARTS if not (directory / f"{part}.yaml").exists()]


def passed_over(directory: Path) -> list[str]:
    """The YAML files of a directory that are no part of a configuration, such as misspelt ones."""
    known = {f"{part}.yaml" for part in PARTS} | {KUSTOMIZATION}
    found = (path.name for path in directory.iterdir() if path.suffix in (".yaml", ".yml"))
    return sorted(name for name in found if name not in known)


def _read(path: Path) -> tuple[tuple[Path, yaml.Node | None], Any]:
    """A file's nodes, and its content as it will stand in the log."""
    try:
        text = path.read_text(encoding="utf-8")
        node = yaml.compose(text, yaml.SafeLoader)
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path}:{mark.line + 1}" if mark else str(path)
        problem = getattr(error, "problem", None) or error
        raise UserError(f"{where}: this is not valid YAML: {problem}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read: {error}") from None
    if faults := [f"{path}:{line}: {problem}" for line, problem in _keys(node)]:
        raise UserError("\n".join(faults))
    try:
        return (path, node), _as_json({} if content is None else content)
    except (TypeError, OverflowError, RecursionError) as error:
        raise UserError(f"{path}: this is no configuration: {error}") from None


def _as_json(content: Any) -> Any:
    return msgspec.json.decode(msgspec.json.encode(content))


def _keys(node: yaml.Node | None) -> Iterator[tuple[int, str]]:
    """What YAML would pass over in silence, with its line: keys twice, of no text, of no value."""
    if isinstance(node, yaml.SequenceNode):
        for child in node.value:
            yield from _keys(child)
    if not isinstance(node, yaml.MappingNode):
        return
    seen: set[Any] = set()
    for key, child in node.value:
        line = key.start_mark.line + 1
        if key.tag not in (TEXT, MERGE):
            yield line, "a key is a text: put it into quotes"
        elif key.value in seen:
            yield line, f"{key.value!r} stands here a second time"
        elif child.tag == NULL:
            yield line, f"{key.value} has no value: give it one, or leave it out"
        seen.add(key.value)
        yield from _keys(child)


def _dotted(path: Sequence[str | int]) -> str:
    return ".".join(str(step) for step in path) + ": " if path else ""


def _line(node: yaml.Node | None, path: Sequence[str | int]) -> int:
    """The line of the deepest node on the path that can be found, from 1."""
    line = node.start_mark.line + 1 if node else 1
    for step in path:
        key, node = _child(node, step)
        if node is None:
            break
        line = (key or node).start_mark.line + 1
    return line


def _child(node: yaml.Node | None, step: str | int) -> tuple[yaml.Node | None, yaml.Node | None]:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == str(step):
                return key, value
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        return None, node.value[step]
    return None, None
