"""Events over HTTP: each is examined as in the log, and answered when the broker has it."""

import asyncio
from collections.abc import Callable
from typing import Annotated, Any

from aiokafka.errors import KafkaError
from fastapi import Depends, FastAPI, Request, Response

from services.ingest.accept import EVENTS_MAX, Event, Item, Refused, TooMany, examine_body
from services.ingest.body import BODY_BYTES_MAX, Budget, read_body
from services.ingest.intake import Intake, Places
from services.ingest.refusals import source_of
from shared import metrics
from shared.access import Caller, Keyring, Needs
from shared.events import encode
from shared.http import application
from shared.problems import RETRY_AFTER, Problem
from shared.runtime import log

IN_HAND_BYTES_MAX = 32 * 1024 * 1024
"""Of bodies, over all callers; as events in memory it is several times as much."""

SEND_SECONDS_MAX = 8
"""Most clients wait for 10 seconds."""

SMALL_BYTES = 256 * 1024
"""A body up to this is examined at once; a thread for it would cost more."""


Writing = Annotated[Caller, Depends(Needs("write"))]


def create_app(keyring: Keyring, intake: Intake, now_ms: Callable[[], int]) -> FastAPI:
    """The application that events are sent to."""
    app = application("ingest", keyring, BODY_BYTES_MAX)
    budget = Budget(IN_HAND_BYTES_MAX)

    @app.post("/v1/events")
    async def events(request: Request, caller: Writing) -> Response:
        """Events in the native form: one object, an array, or one object a line (NDJSON).

        200 says what became of each, in the order sent: what is accepted, the broker has; what is
        refused stands in `usage.rejected`. With any other status nothing may be taken as received;
        the same events may be sent again, each counts once.
        """
        with budget.share() as share:
            body = await read_body(request, share)
            items, places = await _examine(intake, body, caller.source, now_ms())
            share.sending = asyncio.create_task(intake.send(places))
            await _acknowledged(share.sending, caller.source)
        for item in items:
            if isinstance(item.body, Refused):
                intake.refusals.note(source_of(item.value, caller.source))
        return Response(encode(_answer(items)), media_type="application/json")

    return app


async def _examine(
    intake: Intake, body: bytes, source: str, received_ms: int
) -> tuple[list[Item], Places]:
    """What the body holds, and where it goes. Raises Problem 400 or 413."""

    def examine() -> tuple[list[Item], Places]:
        items = examine_body(body, received_ms, source)
        return items, intake.spread(items, source, received_ms)

    try:
        if len(body) <= SMALL_BYTES:
            return examine()
        async with intake.one_large_at_a_time:
            return await asyncio.to_thread(examine)
    except Refused as refused:
        raise Problem(400, refused.reason, refused.detail) from None
    except TooMany:
        message = f"The body holds more than {EVENTS_MAX} events: send less at once."
        raise Problem(413, "too_many_events", message) from None


async def _acknowledged(sending: "asyncio.Task[None]", source: str) -> None:
    """Return when the broker has everything. Raises Problem 503.

    What takes too long is not cancelled: the broker may be getting it just now.
    """
    done, _ = await asyncio.wait({sending}, timeout=SEND_SECONDS_MAX)
    fault = sending.exception() if done else TimeoutError(f"{SEND_SECONDS_MAX} s are over")
    if not done:
        sending.add_done_callback(_hear)
    if isinstance(fault, (KafkaError, TimeoutError)):
        log.warning("events not taken", source=source, why=str(fault) or repr(fault))
        message = "The broker cannot be reached: send the same events again later."
        raise Problem(503, "unavailable", message, RETRY_AFTER) from fault
    if fault:
        raise fault


def _hear(sending: "asyncio.Task[None]") -> None:
    """Its fault was answered before it came: nobody else will look at it."""
    if not sending.cancelled():
        sending.exception()


def _answer(items: list[Item]) -> dict[str, Any]:
    results = [_result(index, item) for index, item in enumerate(items)]
    refusals = [item.body.reason for item in items if isinstance(item.body, Refused)]
    for reason in refusals:
        metrics.REJECTED.labels(reason=reason).inc()
    accepted = len(items) - len(refusals)
    metrics.COLLECTED.labels(outcome="accepted").inc(accepted)
    metrics.COLLECTED.labels(outcome="rejected").inc(len(refusals))
    return {"accepted": accepted, "rejected": len(refusals), "results": results}


def _result(index: int, item: Item) -> dict[str, Any]:
    if isinstance(item.body, Event):
        return {"id": item.body.id, "status": "accepted"}
    reason, detail = item.body.reason, item.body.detail
    return {"index": index, "status": "rejected", "reason": reason, "detail": detail}
