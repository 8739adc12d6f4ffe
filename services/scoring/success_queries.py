"""What the API reads of customer success: the matrix's cells, and an account's problems."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.scoring.engine.success.facts import PROBLEM
from services.scoring.queries import conditions_of
from shared.configuration import Configuration
from shared.times import iso_time


@dataclass(frozen=True)
class CellCounts:
    """How many accounts stand in each cell (x, y), and how many with each suggested action."""

    accounts: Counter[tuple[int | None, int | None]]
    actions: dict[tuple[int | None, int | None], dict[str, int]]


async def select_cells(connection: AsyncConnection, filters: Mapping[str, Any]) -> CellCounts:
    """The cells of the accounts that the filters mean; a level that is not known is None."""
    conditions, values = conditions_of(filters)
    rows = await connection.execute(
        text(
            "SELECT s.matrix_x, s.matrix_y, s.matrix_action, count(*) AS accounts"
            " FROM scoring.health h JOIN scoring.success s USING (partition, account_no)"
            f" WHERE {' AND '.join(conditions)} GROUP BY 1, 2, 3 ORDER BY 1, 2, 3"
        ),
        values,
    )
    counts = CellCounts(Counter(), {})
    for x, y, action, accounts in rows:
        counts.accounts[x, y] += accounts
        if action is not None:
            counts.actions.setdefault((x, y), {})[action] = accounts
    return counts


@dataclass(frozen=True)
class ProblemStanding:
    """One line of the success map; who does what is null where the configuration has no such."""

    problem: str
    title: str | None
    who: str | None
    does: str | None
    status: str | None
    updated_at: str | None


async def select_problems(
    connection: AsyncConnection, account_id: str, configuration: Configuration | None
) -> list[ProblemStanding]:
    """An account's problems: those of the configuration in its order, then others by their ids."""
    rows = await connection.execute(
        text(
            "SELECT substr(f.name, :skipped) AS problem, f.value #>> '{}' AS status, f.time_ms"
            " FROM scoring.health h JOIN scoring.fact f USING (partition, account_no)"
            " WHERE h.account_id = :account_id AND starts_with(f.name, :prefix)"
            ' ORDER BY f.name COLLATE "C"'
        ),
        {"account_id": account_id, "prefix": PROBLEM, "skipped": len(PROBLEM) + 1},
    )
    said = {row.problem: (row.status, iso_time(row.time_ms)) for row in rows}
    success_map = configuration.success_map if configuration else None
    listed = [
        ProblemStanding(one.id, one.title, one.who, one.does, *said.pop(one.id, (None, None)))
        for one in (success_map.problems if success_map else ())
    ]
    others = [ProblemStanding(one, None, None, None, *told) for one, told in said.items()]
    return listed + others
