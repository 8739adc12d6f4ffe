"""Files as lines: whatever is in them arrives as it was, at a time that makes sense."""

import gzip
import io
import json
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shared.history.lines import LINE_BYTES_MAX, NO_TIME, Line, head, read, split, timed
from shared.runtime import UserError
from shared.times import time_ms

LATEST_MS = time_ms("2026-06-01T00:00:00Z")


def at(time: str) -> bytes:
    return json.dumps({"id": "1", "time": time}).encode()


def test_lines_keep_their_bytes_but_for_the_end() -> None:
    content = b'{"a": 1 }\r\n\n  \n\xff\x00\n[1, 2]\nlast'
    assert list(split(io.BytesIO(content))) == [
        *(b'{"a": 1 }', b"", b"", b"\xff\x00", b"[1, 2]", b"last"),
    ]


@pytest.mark.parametrize("end", [b"", b"\nnext"])
def test_a_line_too_long_for_the_log_is_cut(end: bytes) -> None:
    lines = list(split(io.BytesIO(b"x" * (3 * LINE_BYTES_MAX + 5) + end)))
    assert [len(line) for line in lines] == [LINE_BYTES_MAX] + [4] * bool(end)


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"\xff",
        b"17",
        b"{}",
        b'{"time": 17}',
        b'{"time": "noon"}',
        b'{"time": "2026-01-01T00:00:00"}',
        b'{"time": "2026-01-01T00:00:00Z", "x": "\xff"',
    ],
)
def test_no_readable_time(line: bytes) -> None:
    assert head(line) is None


@pytest.mark.parametrize(
    ("time", "expected_ms"),
    [
        ("1970-01-01T00:00:01Z", 1_000),
        ("1970-01-01T09:00:01.0019+09:00", 1_001),
        ("1969-12-31T23:59:59Z", 0),
        ("0001-01-01T00:00:00Z", 0),
    ],
)
def test_a_time_counts_from_1970(time: str, expected_ms: int) -> None:
    known = head(at(time))
    assert known
    assert known.time_ms == expected_ms


def test_what_has_no_time_or_one_to_come_stands_where_the_line_before_it_does() -> None:
    values = [b"x", at("2026-01-01T00:00:00Z"), b"y", at("2199-01-01T00:00:00Z"), b"z"]
    new_year = time_ms("2026-01-01T00:00:00Z")
    assert list(timed(values, LATEST_MS)) == [
        Line(NO_TIME, values[0]),
        *(Line(new_year, value) for value in values[1:]),
    ]


def test_gzip_is_known_by_its_content(tmp_path: Path) -> None:
    path = tmp_path / "events.txt"
    path.write_bytes(gzip.compress(b"one\ntwo\n"))
    assert list(read(path)) == [b"one", b"two"]


def test_parquet_rows_become_native_events(tmp_path: Path) -> None:
    path = tmp_path / "events"
    noon = datetime(2026, 1, 1, 12, tzinfo=UTC)
    table = pa.table(
        {
            "event_id": ["1", "2"],
            "type": ["a", "b"],
            "account_id": ["acme", None],
            "time": pa.array([noon, noon], pa.timestamp("us")),
            "feature": ["export", None],
            "amount": [2.5, float("nan")],
        }
    )
    pq.write_table(table, path)
    assert [json.loads(line) for line in read(path)] == [
        {
            "id": "1",
            "type": "a",
            "account_id": "acme",
            "time": "2026-01-01T12:00:00.000Z",
            "properties": {"feature": "export", "amount": 2.5},
        },
        {
            "id": "2",
            "type": "b",
            "time": "2026-01-01T12:00:00.000Z",
            "properties": {"amount": None},
        },
    ]


def test_a_parquet_column_of_properties_is_joined_with_the_others(tmp_path: Path) -> None:
    path = tmp_path / "events"
    columns = {"id": ["1"], "type": ["a"], "time": ["x"], "properties": [{"a": 1}], "b": [2]}
    pq.write_table(pa.table(columns), path)
    assert json.loads(next(read(path)))["properties"] == {"a": 1, "b": 2}


def damaged(path: Path, content: bytes) -> Path:
    path.write_bytes(content[: len(content) // 2])
    return path


def test_what_cannot_be_read_is_a_sentence(tmp_path: Path) -> None:
    pq.write_table(pa.table({"type": ["a"], "x": [1]}), tmp_path / "columns")
    pq.write_table(
        pa.table({"id": ["1"], "event_id": ["1"], "type": ["a"], "time": ["x"]}), tmp_path / "two"
    )
    gz = gzip.compress(b"\n".join(str(number).encode() for number in range(10_000)))
    wrong = {
        tmp_path / "none": "none cannot be read: No such file or directory.",
        tmp_path: "cannot be read: Is a directory.",
        tmp_path / "columns": "columns has no column event_id and no column time.",
        tmp_path / "two": "two has two columns of one name.",
        damaged(tmp_path / "gz", gz): "gz is damaged: Compressed file ended",
        damaged(tmp_path / "garbled", gz[:20] + b"\xff" * len(gz)): "garbled is damaged: ",
        damaged(tmp_path / "parquet", b"PAR1" + b"x" * 100): "parquet is damaged: ",
    }
    for path, sentence in wrong.items():
        with pytest.raises(UserError) as raised:
            list(read(path))
        assert sentence in str(raised.value)
        assert "\n" not in str(raised.value)
