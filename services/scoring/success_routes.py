"""The HTTP API of customer success: the utilisation matrix, and an account's success map."""

from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Query

from services.scoring.acts import unknown_account
from services.scoring.queries import select_account, select_configuration
from services.scoring.reading import READ, AccountChoice, Reading, chosen
from services.scoring.success_queries import CellCounts, select_cells, select_problems
from shared import problems
from shared.configuration import Matrix
from shared.problems import Id, Problem

routes = APIRouter()


@routes.get("/v1/matrix", dependencies=READ)
async def matrix(choice: Annotated[AccountChoice, Query()], reading: Reading) -> dict[str, Any]:
    """The utilisation matrix: how many accounts stand in each cell, and what is suggested."""
    configuration = await select_configuration(reading)
    if configuration is None or configuration.matrix is None:
        raise Problem(404, "no_matrix", "The configuration in effect has no matrix.")
    counts = await select_cells(reading, await chosen(choice, reading))
    return _shown(configuration.matrix, counts)


def _shown(matrix: Matrix, counts: CellCounts) -> dict[str, Any]:
    return {
        "x": {"title": matrix.x.title, "levels": matrix.x.levels},
        "y": {"title": matrix.y.title, "levels": matrix.y.levels},
        "actions": [
            {"id": name, "text": action.text, "upsell": action.upsell}
            for name, action in matrix.actions.items()
        ],
        "data": [
            {
                "x": x,
                "y": y,
                "stage": cell.stage,
                "action": cell.action,
                "accounts": counts.accounts[x, y],
                "suggested": counts.actions.get((x, y), {}),
            }
            for y, row in enumerate(matrix.cells)
            for x, cell in enumerate(row)
        ],
        "unknown": sum(count for cell, count in counts.accounts.items() if None in cell),
    }


@routes.get("/v1/accounts/{account_id:encoded}/success-map", dependencies=READ)
async def success_map(account_id: Id, reading: Reading) -> dict[str, Any]:
    """The account's problems: how each stands, and which team does what about it."""
    if await select_account(reading, account_id) is None:
        raise unknown_account(account_id)
    configuration = await select_configuration(reading)
    found = await select_problems(reading, account_id, configuration)
    return problems.page([msgspec.to_builtins(one) for one in found], None)
