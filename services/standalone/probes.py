"""What the services say about themselves on their operations ports."""

from dataclasses import dataclass

import httpx2
from prometheus_client.parser import text_string_to_metric_families

TIMEOUT_SECONDS = 3
NO_ANSWER = "answer"
"""What is waited for where the operations port does not answer."""


@dataclass(frozen=True)
class Report:
    """One service: what it waits for (nothing: it is ready), its lag and its oldest clock.

    `held_by` says for whom a clock waits that is so many seconds behind the time of day, `stale`
    which sources have fallen silent.
    """

    waiting: dict[str, str]
    lag_records: int | None = None
    clock_seconds: float | None = None
    behind_seconds: int = 0
    held_by: tuple[str, ...] = ()
    stale: tuple[str, ...] = ()


async def ask(client: httpx2.AsyncClient, address: str, *, metrics: bool = True) -> Report:
    """Ask the operations port at `address` (http://…)."""
    try:
        answer = await client.get(f"{address}/readyz", timeout=TIMEOUT_SECONDS)
        said = answer.json()
        waiting = said["waiting"]
        if not metrics:
            return Report(waiting)
        page = await client.get(f"{address}/metrics", timeout=TIMEOUT_SECONDS)
    except (httpx2.HTTPError, ValueError, KeyError) as error:
        return Report({NO_ANSWER: str(error) or type(error).__name__})
    values, stale = _values(page.text), _stale(page.text)
    clock = said.get("clock", {})
    lags = values.get("myaku_lag_records", [])
    clocks = values.get("myaku_clock_timestamp_seconds", [])
    return Report(
        waiting,
        int(sum(lags)) if lags else None,
        min(clocks) if clocks else None,
        clock.get("behind_seconds", 0),
        tuple(clock.get("held_by", ())),
        stale,
    )


def _stale(page: str) -> tuple[str, ...]:
    return tuple(
        sorted(
            sample.labels["source"]
            for family in text_string_to_metric_families(page)
            if family.name == "myaku_source_stale"
            for sample in family.samples
            if sample.value
        )
    )


def _values(page: str) -> dict[str, list[float]]:
    values: dict[str, list[float]] = {}
    for family in text_string_to_metric_families(page):
        values[family.name] = [sample.value for sample in family.samples]
    return values
