"""Merging and sorting: by time, stable, nothing lost, in bounded memory."""

import json
import tempfile
from operator import attrgetter
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from shared.history import merge as merging
from shared.history.lines import NO_TIME, Line
from shared.history.merge import BY_TIME, EventFile, merge, sort_on_disk, survey
from shared.times import iso_time

LATEST_MS = 10**12
TIMES = st.lists(st.integers(NO_TIME, 12), max_size=60)


def numbered(times_ms: list[int]) -> list[Line]:
    return [Line(time_ms, str(number).encode()) for number, time_ms in enumerate(times_ms)]


@given(TIMES, st.integers(1, 2_000), st.integers(2, 4))
def test_sorting_on_disk_is_sorting(times_ms: list[int], run_bytes: int, runs_max: int) -> None:
    lines = numbered(times_ms)
    with tempfile.TemporaryDirectory() as scratch:
        done = list(sort_on_disk(lines, Path(scratch), run_bytes, runs_max))
        assert list(Path(scratch).iterdir()) == []
    assert done == sorted(lines, key=BY_TIME)


def test_no_more_than_a_run_is_in_memory(tmp_path: Path) -> None:
    """However many lines come, at most one run is between what was read and what is on disk."""
    lines = numbered(list(range(1_000, 0, -1)))
    run_lines = 10
    run_bytes = run_lines * (merging.LINE_OVERHEAD_BYTES + 1)
    chunks = list(merging._chunks(lines, run_bytes))
    assert max(map(len, chunks)) <= run_lines
    assert [line for chunk in chunks for line in chunk] == lines


def write(path: Path, times_ms: list[int]) -> Path:
    rows = [
        {"n": f"{path.name}-{number}"} | ({} if at == NO_TIME else {"time": iso_time(at)})
        for number, at in enumerate(times_ms)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def merged(paths: list[Path], scratch: Path) -> tuple[list[Line], list[EventFile]]:
    files = [survey(path, LATEST_MS) for path in paths]
    return list(merge(files, LATEST_MS, scratch)), files


@given(st.lists(TIMES, min_size=1, max_size=4))
def test_files_are_merged_by_time_and_nothing_is_lost(histories: list[list[int]]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        scratch = Path(directory)
        paths = [write(scratch / f"{name}", times) for name, times in enumerate(histories)]
        lines, files = merged(paths, scratch)

    assert sorted(json.loads(line.value)["n"] for line in lines) == sorted(
        f"{name}-{number}" for name, times in enumerate(histories) for number in range(len(times))
    )
    assert [line.time_ms for line in lines] == sorted(line.time_ms for line in lines)
    assert [file.lines for file in files] == [len(times) for times in histories]
    known = [[time for time in times if time != NO_TIME] for times in histories]
    assert [(file.first_ms, file.last_ms) for file in files] == [
        (min(times, default=NO_TIME), max(times, default=NO_TIME)) for times in known
    ]


def test_lines_of_one_time_keep_the_order_of_files_and_lines(tmp_path: Path) -> None:
    sorted_file, unsorted_file = write(tmp_path / "a", [5, 7, 7]), write(tmp_path / "b", [7, 5, 7])
    lines, files = merged([sorted_file, unsorted_file], tmp_path)
    assert [json.loads(line.value)["n"] for line in lines] == [
        *("a-0", "b-1", "a-1", "a-2", "b-0", "b-2"),
    ]
    assert list(map(attrgetter("is_sorted"), files)) == [True, False]


def test_what_cannot_be_an_event_is_named_by_its_line(tmp_path: Path) -> None:
    path = write(tmp_path / "events", [5])
    assert survey(path, LATEST_MS).remark() is None
    path.write_text(path.read_text() + '\n{"id": \n' + json.dumps({"time": iso_time(7)}) + "\n")
    said = "this is no JSON object with a `time` that can be read and is not in the future."
    assert survey(path, LATEST_MS).remark() == f"{path}, line 3: {said} It is refused."
    more = f"{path}, line 3: {said} It is refused, with 1 more of this file."
    assert survey(path, latest_ms=6).remark() == more
