"""What operations is told of sources: two gauges, and a line when one falls silent."""

from collections.abc import Mapping

from services.scoring.engine import State
from services.scoring.engine.sources import Source
from shared import metrics
from shared.runtime import log
from shared.times import iso_time

SPEAKER = 0
"""All partitions decide alike: the worker that owns this one writes the lines for all."""


def measure_sources(state: State) -> None:
    """Set the gauges of declared sources, and of others while they are stale."""
    now_ms = state.clock.now_ms
    rhythms_ms: Mapping[str, int] = state.plan.rhythms_ms if state.plan else {}
    for name, source in state.sources.known.items():
        stale = source.status == "stale"
        if now_ms is None or source.newest_ms is None or not (stale or name in rhythms_ms):
            _forget(name)
            continue
        metrics.SOURCE_STALE.labels(source=name).set(stale)
        silent_ms = max(0, now_ms - source.newest_ms)
        metrics.SOURCE_SILENT.labels(source=name).set(silent_ms / 1000)


def forget_sources() -> None:
    """This process owns no partition any more."""
    metrics.SOURCE_STALE.clear()
    metrics.SOURCE_SILENT.clear()


def _forget(name: str) -> None:
    for gauge in (metrics.SOURCE_STALE, metrics.SOURCE_SILENT):
        gauge.remove_by_labels({"source": name})


def tell_turns(state: State, turns: list[tuple[str, str, str]]) -> None:
    """Log each source that fell silent, or is heard again, in a step."""
    if state.partition != SPEAKER:
        return
    for name, before, after in turns:
        source = state.sources.known[name]
        if after == "stale":
            log.warning("a source has fallen silent", **_facts(state, name, source))
        elif before == "stale":
            log.info("a source is heard again", **_facts(state, name, source), status=after)


def _facts(state: State, name: str, source: Source) -> dict[str, str | None]:
    """What a line says of a source."""
    newest_ms, now_ms = source.newest_ms, state.clock.now_ms
    return {
        "source": name,
        "newest_event": None if newest_ms is None else iso_time(newest_ms),
        "clock": None if now_ms is None else iso_time(now_ms),
    }
