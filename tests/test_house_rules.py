"""The rules of the house that no linter knows; each failure says what to do instead."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from shared import metrics

ROOT = Path(__file__).resolve().parents[1]
PRODUCT = sorted([*(ROOT / "services").rglob("*.py"), *(ROOT / "shared").rglob("*.py")])
TESTS = sorted((ROOT / "tests").rglob("*.py"))
WRITTEN = sorted(
    path
    for pattern in ("*.py", "*.md", "*.yaml", "*.toml", "Makefile")
    for path in ROOT.rglob(pattern)
    if not any(part.startswith(".") or part == "build" for part in path.relative_to(ROOT).parts)
)
FILE_LINES_MAX = 300
FUNCTION_LINES_MAX = 50
VAGUE = {"utils", "helpers", "common", "core", "base", "manager"}
PARTITION_FIRST = re.compile(r"PRIMARY KEY \(\w*partition\b|^\s*partition int PRIMARY KEY", re.M)
MIGRATIONS = "shared/migrations/versions"
WHOLE_TABLES = {"ingest.membership", "ingest.erased", "alerts.destination", "access.key"}
"""Not of a partition: users' accounts, who was erased, destinations, keys."""


def shown(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def lines(function: ast.AST) -> int:
    """How many lines a function has, those of functions inside it not counted."""
    inside = [node for node in ast.walk(function) if node is not function]
    nested: list[ast.FunctionDef | ast.AsyncFunctionDef]
    nested = [node for node in inside if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    numbers = {node.lineno for node in inside if isinstance(node, ast.stmt | ast.expr)}
    ends = {node.end_lineno or 0 for node in inside if isinstance(node, ast.stmt | ast.expr)}
    own = set(range(min(numbers), max(ends) + 1))
    for node in nested:
        own -= set(range(node.lineno, (node.end_lineno or 0) + 1))
    return len(own)


def calls(path: Path) -> Iterator[tuple[str, int]]:
    """The dotted name, or its last part, and the line of each call."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node.lineno


def test_files_are_short() -> None:
    long = [shown(path) for path in PRODUCT if len(path.read_text().splitlines()) > FILE_LINES_MAX]
    assert not long, f"split by what each part does, at most {FILE_LINES_MAX} lines: {long}"


def test_functions_are_short() -> None:
    long = [
        f"{shown(path)}:{function.lineno} {function.name}"
        for path in PRODUCT
        for function in functions(path)
        if lines(function) > FUNCTION_LINES_MAX
    ]
    assert not long, f"take steps out and name them, at most {FUNCTION_LINES_MAX} lines: {long}"


def test_only_the_transaction_of_the_house_commits() -> None:
    found = [
        f"{shown(path)}:{line}"
        for path in PRODUCT
        for name, line in calls(path)
        if name.rpartition(".")[2] in ("begin", "begin_nested", "commit")
        and not name.endswith("consumer.commit")
        and shown(path) != "shared/database.py"
    ]
    assert not found, f"use shared.database.transaction or snapshot: {found}"


def test_only_the_runtime_catches_everything() -> None:
    found = [
        f"{shown(path)}:{node.lineno}"
        for path in PRODUCT
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ExceptHandler)
        and (node.type is None or ast.unparse(node.type) in ("Exception", "BaseException"))
        and shown(path) != "shared/runtime.py"
    ]
    assert not found, f"name what can go wrong; the rest belongs to shared.runtime.run: {found}"


def test_no_file_has_a_name_that_says_nothing() -> None:
    found = [shown(path) for path in [*PRODUCT, *TESTS] if path.stem in VAGUE]
    assert not found, f"call a file after what it does: {found}"


def test_nothing_is_left_for_later() -> None:
    later = re.compile(r"\b(TO" + r"DO|FIX" + r"ME|XX" + r"X)\b")
    found = [shown(path) for path in WRITTEN if later.search(path.read_text(encoding="utf-8"))]
    assert not found, f"do it, or write an issue: {found}"


def test_tests_wait_for_a_condition_and_never_sleep_and_hope() -> None:
    found = [
        f"{shown(path)}:{node.lineno}"
        for path in TESTS
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and ast.unparse(node.func) in ("asyncio.sleep", "time.sleep", "sleep")
        and not (node.args and ast.unparse(node.args[0]) == "0")
        and shown(path) not in ("tests/processes.py", "tests/conftest.py", "tests/apache_kafka.py")
    ]
    assert not found, f"use tests.processes.eventually, or await the condition: {found}"


def test_no_place_on_a_machine_is_named() -> None:
    machine = re.compile(r"(?<![\w.])/(work|home|Users|root)/\w")
    found = [shown(path) for path in WRITTEN if machine.search(path.read_text(encoding="utf-8"))]
    assert not found, f"take the path from a setting, or relative to the project: {found}"


def test_every_metric_is_used_and_every_use_declared() -> None:
    declared = {name for name in vars(metrics) if name.isupper()}
    text = "\n".join(path.read_text() for path in PRODUCT if path.name != "metrics.py")
    used = set(re.findall(r"\bmetrics\.([A-Z][A-Z_]+)\b", text))
    assert not used - declared, f"declare in shared/metrics.py: {sorted(used - declared)}"
    assert not declared - used, f"count it where it happens, or remove: {sorted(declared - used)}"


def test_metrics_are_created_in_one_place() -> None:
    found = [
        f"{shown(path)}:{line}"
        for path in PRODUCT
        for name, line in calls(path)
        if name.rpartition(".")[2] in ("Counter", "Gauge", "Histogram", "Summary")
        and shown(path) != "shared/metrics.py"
        and "prometheus_client" in path.read_text()
    ]
    assert not found, f"declare metrics in shared/metrics.py: {found}"


def tables() -> dict[str, str]:
    """The definition of every table that the migrations create."""
    text = "\n".join(path.read_text() for path in sorted((ROOT / MIGRATIONS).glob("*.py")))
    made = re.findall(r"CREATE TABLE (\w+\.\w+) \((.*?)\n\)", text, re.DOTALL)
    return dict(made)


def test_primary_keys_begin_with_the_partition() -> None:
    assert {"scoring.partition", "scoring.history"} <= set(tables())
    wrong = [
        name
        for name, definition in tables().items()
        if name not in WHOLE_TABLES and not PARTITION_FIRST.search(definition)
    ]
    assert not wrong, f"let the primary key begin with `partition`: {wrong}"


def statements(module_path: Path) -> Iterator[tuple[int, str]]:
    """Every text of a module that is SQL, joined over its lines; what is filled in reads `…`."""
    nodes: list[Any] = list(ast.walk(ast.parse(module_path.read_text(encoding="utf-8"))))
    parts = {id(part) for node in nodes if isinstance(node, ast.JoinedStr) for part in node.values}
    for node in nodes:
        text = None
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in parts:
            text = node.value
        elif isinstance(node, ast.JoinedStr):
            text = "".join(
                str(part.value) if isinstance(part, ast.Constant) else f"{{{ast.unparse(part)}}}"
                for part in node.values
            )
        if text and re.match(r"(SELECT .* FROM|INSERT INTO|UPDATE|DELETE FROM) ?", text, re.DOTALL):
            yield node.lineno, text


SCORING = ROOT / "services/scoring"
SAVING = [
    SCORING / "load.py",
    SCORING / "store.py",
    *sorted((SCORING / "tables").glob("[a-z]*.py")),
]


@pytest.mark.parametrize("path", SAVING, ids=lambda path: path.stem)
def test_statements_of_the_hot_path_name_their_partition(path: Path) -> None:
    found = list(statements(path))
    wrong = [
        f"{shown(path)}:{line} {sql[:60]}"
        for line, sql in found
        if not re.search(
            r"WHERE (\w\.)?partition = |SELECT \$1, |VALUES \(\$1, "
            r"|min\(partitions\)",  # the one look at all partitions, when one is assigned
            sql,
        )
    ]
    assert found
    assert not wrong, f"name the partition in WHERE or INSERT: {wrong}"
