"""`scoring.erased`: people who were erased, by the keyed hash of what they were known by."""

import json
from dataclasses import dataclass

from services.scoring.engine.effects import Effects
from services.scoring.engine.state import State
from services.scoring.tables.partition import Columns, Reader, Writer, columns_of
from shared.events import encode

_SIGN = 1 << 63
"""A hash has 64 bits, a bigint 63 and a sign."""


@dataclass(frozen=True)
class ErasedRows:
    """Who was erased in a step."""

    people: Columns
    names: Columns
    """As they may stand in a record that was put aside; this alone is not kept."""


def rows(state: State, effects: Effects) -> ErasedRows:
    """What the step has to write, and whom to look for in what was put aside."""
    people = {(each.person, each.time_ms) for each in effects.erased}
    texts = {each.user_id for each in effects.erased}
    names = {encode(text) for text in texts} | {json.dumps(text).encode() for text in texts}
    return ErasedRows(
        people=columns_of((_signed(person), time_ms) for person, time_ms in sorted(people)),
        names=[sorted(names)] if names else [],
    )


def _signed(number: int) -> int:
    return number - 2 * _SIGN if number >= _SIGN else number


async def save(writer: Writer, rows: ErasedRows) -> None:
    """Remember who was erased; records that were put aside lose their bytes if they name one."""
    await writer.rows(
        "INSERT INTO scoring.erased (partition, person, time_ms)"
        " SELECT $1, * FROM unnest($2::bigint[], $3::bigint[]) ON CONFLICT DO NOTHING",
        rows.people,
    )
    await writer.rows(
        "UPDATE scoring.quarantine q SET value = NULL FROM unnest($2::bytea[]) AS gone (name)"
        " WHERE q.partition = $1 AND position(gone.name IN q.value) > 0",
        rows.names,
    )


async def load(reader: Reader, state: State) -> None:
    """Fill in who was erased."""
    for person, time_ms in await reader.rows("erased", "person, time_ms", "1, 2"):
        state.erased.setdefault(person % (2 * _SIGN), []).append(time_ms)
