"""Customer success as rows: what was published of it, milestones reached, and signals."""

from dataclasses import dataclass

import msgspec

from services.scoring.engine.effects import Effects
from services.scoring.engine.state import State
from services.scoring.engine.success.matrix import cell, code_of
from services.scoring.engine.success.onboarding import whole_of
from services.scoring.engine.success.signals import BURST, naming
from services.scoring.engine.success.state import CHANGED, Told
from services.scoring.tables.partition import Columns, Reader, Writer, columns_of
from shared.configuration import HORIZON_DAYS
from shared.events import AccountSignal, MatrixCell, encode

RESENT_DAYS = 7
"""So long a new log gets the records that tell signals again; the newest are kept in any case."""


@dataclass(frozen=True)
class SuccessRows:
    """What a commit writes; `running_day` is None if no day was closed."""

    plan_changed: bool
    erased: list[str]
    published: Columns
    reached: Columns
    signals: Columns
    records: Columns
    running_day: int | None


def rows(state: State, effects: Effects) -> SuccessRows:
    """What the step that ended in this state has to write."""
    changed = effects.success
    return SuccessRows(
        plan_changed=effects.plan_changed,
        erased=changed.erased,
        published=columns_of(_published(state, account) for account in sorted(changed.published)),
        reached=columns_of(_reached(state, account) for account in sorted(changed.reached)),
        signals=_signals(state, effects),
        records=columns_of(
            (account, sequence, day, record.decode())
            for account, sequence, day, record in changed.records
        ),
        running_day=state.day if effects.closed else None,
    )


def _published(state: State, account: int) -> tuple[object, ...]:
    assert state.plan is not None
    onboarding = int(state.success.onboarding[account])
    found = cell(state.plan.success.matrix, int(state.success.matrix[account]))
    shown = found or MatrixCell(None, None, None, None)
    return (
        account,
        shown.x,
        shown.y,
        shown.stage,
        shown.action,
        whole_of(onboarding),
        onboarding,
    )


def _reached(state: State, account: int) -> tuple[object, ...]:
    assert state.plan is not None
    plan, success = state.plan.success.onboarding, state.success
    days = success.reached_days[account].tolist()
    ids = [one.id for one in plan.milestones] if plan else []
    reached = {name: day for name, day in zip(ids, days, strict=True) if day >= 0}
    return account, int(success.reached_since[account]), encode(reached).decode()


def _signals(state: State, effects: Effects) -> Columns:
    waiting = {
        signal.id: signal for signals in state.success.pending.values() for signal in signals
    }
    told = (
        (day, key, state.success.told[day][key])
        for day, key in sorted(effects.success.signals)
        if day in state.success.told
    )
    return columns_of(
        (day, key, one.account, one.kind, encode(waiting[key]).decode() if key in waiting else None)
        for day, key, one in told
    )


async def unname(writer: Writer, rows: SuccessRows) -> None:
    """Take the names of the erased from the signals that were told before this step.

    Every newest record that tells any is among the records that are kept of them.
    """
    for user_id in rows.erased:
        await writer.run(
            "WITH told AS (UPDATE scoring.signal_record"
            " SET record = replace(record::text, $2::text, $3::text)::json"
            " WHERE partition = $1 AND position($2::text IN record::text) > 0"
            " RETURNING account_no, sequence, record)"
            " UPDATE scoring.health h SET record = told.record FROM told WHERE h.partition = $1"
            " AND h.account_no = told.account_no AND h.sequence = told.sequence",
            *(text.decode() for text in naming(user_id)),
        )


async def save(writer: Writer, rows: SuccessRows) -> None:
    """Write what a step changed."""
    if rows.plan_changed:  # nothing is compared with what another configuration said
        await writer.run(
            "UPDATE scoring.success SET onboarding_code = $2 WHERE partition = $1", CHANGED
        )
    await writer.rows(
        "INSERT INTO scoring.success (partition, account_no, matrix_x, matrix_y, matrix_stage,"
        " matrix_action, onboarding, onboarding_code)"
        " SELECT $1, * FROM unnest($2::int[], $3::smallint[], $4::smallint[], $5::text[],"
        " $6::text[], $7::text[], $8::bigint[])"
        " ON CONFLICT (partition, account_no) DO UPDATE SET matrix_x = excluded.matrix_x,"
        " matrix_y = excluded.matrix_y, matrix_stage = excluded.matrix_stage,"
        " matrix_action = excluded.matrix_action, onboarding = excluded.onboarding,"
        " onboarding_code = excluded.onboarding_code",
        rows.published,
    )
    await writer.rows(
        "INSERT INTO scoring.milestone (partition, account_no, since_day, reached)"
        " SELECT $1, * FROM unnest($2::int[], $3::int[], $4::jsonb[])"
        " ON CONFLICT (partition, account_no) DO UPDATE SET"
        " since_day = excluded.since_day, reached = excluded.reached",
        rows.reached,
    )
    await writer.rows(
        "INSERT INTO scoring.account_signal (partition, day, id, account_no, kind, waiting)"
        " SELECT $1, * FROM unnest($2::int[], $3::text[], $4::int[], $5::text[], $6::json[])"
        " ON CONFLICT (partition, day, id) DO UPDATE SET waiting = excluded.waiting",
        rows.signals,
    )
    await writer.rows(
        "INSERT INTO scoring.signal_record (partition, account_no, sequence, day, record)"
        " SELECT $1, * FROM unnest($2::int[], $3::bigint[], $4::int[], $5::json[])",
        rows.records,
    )
    if rows.running_day is not None:
        await _forget(writer, rows.running_day)


async def _forget(writer: Writer, running_day: int) -> None:
    await writer.run(
        "DELETE FROM scoring.account_signal WHERE partition = $1 AND day < $2",
        running_day - HORIZON_DAYS,
    )
    await writer.run(
        "DELETE FROM scoring.signal_record r USING scoring.health h"
        " WHERE r.partition = $1 AND r.day < $2 AND h.partition = r.partition"
        " AND h.account_no = r.account_no AND h.sequence > r.sequence",
        running_day - RESENT_DAYS,
    )


async def told_before(reader: Reader, running_day: int) -> list[tuple[bytes, bytes]]:
    """(account id, record) of those that told a signal lately and are no longer the newest."""
    sql = (
        "SELECT h.account_id, r.record::text FROM scoring.signal_record r"
        " JOIN scoring.health h ON h.partition = r.partition AND h.account_no = r.account_no"
        " WHERE r.partition = $1 AND r.sequence < h.sequence AND r.day >= $2"
        " ORDER BY h.account_no, r.sequence"
    )
    values = reader.partition, running_day - RESENT_DAYS
    found = (await reader.connection.exec_driver_sql(sql, values)).all()
    return [(row.account_id.encode(), row.record.encode()) for row in found]


async def load(reader: Reader, state: State) -> None:
    """Read what is kept, once accounts and facts are there."""
    assert state.plan is not None
    success, plan = state.success, state.plan.success
    columns = "account_no, matrix_x, matrix_y, matrix_action, onboarding_code"
    for account, x, y, action, onboarding in await reader.rows("success", columns):
        success.matrix[account] = code_of(plan.matrix, x, y, action)
        success.onboarding[account] = onboarding
    numbers = plan.onboarding.numbers if plan.onboarding else {}
    columns = "account_no, since_day, reached::text"
    for account, since_day, reached in await reader.rows("milestone", columns):
        success.reached_since[account] = since_day
        for milestone, day in msgspec.json.decode(reached).items():
            if milestone in numbers:
                success.reached_days[account, numbers[milestone]] = day
    columns = "day, id, account_no, kind, waiting::text"
    for day, key, account, kind, waiting in await reader.rows("account_signal", columns):
        success.told.setdefault(day, {})[key] = Told(account, kind)
        if kind == BURST:
            success.burst_days[account] = max(int(success.burst_days[account]), day)
        if waiting is not None:
            signal = msgspec.json.decode(waiting, type=AccountSignal)
            success.pending.setdefault(account, []).append(signal)
