"""The HTTP API of what people do to accounts and users: 202 says that the log has it."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from fastapi import Path as InPath
from pydantic import AwareDatetime, BaseModel, Field, StringConstraints

from services.scoring.acts import Acts
from shared.access import Caller, Needs
from shared.events import ACT_CHARACTERS_MAX
from shared.native.event import NAME_CHARACTERS_MAX
from shared.problems import WITHOUT_NUL, Id
from shared.times import datetime_ms

UserId = Annotated[str, InPath(pattern=WITHOUT_NUL, max_length=NAME_CHARACTERS_MAX)]
Acting = Annotated[Caller, Depends(Needs("act"))]
Erasing = Annotated[Caller, Depends(Needs("admin"))]
Reason = Annotated[
    str,
    StringConstraints(
        strip_whitespace=True, min_length=1, max_length=ACT_CHARACTERS_MAX, pattern=WITHOUT_NUL
    ),
]


class OverrideBody(BaseModel, extra="forbid"):
    """Which score the account is to have, why, and until when."""

    score: Annotated[float, Field(strict=True, ge=0, le=100, allow_inf_nan=False)]
    reason: Reason
    expires_at: AwareDatetime | None = None


class CloseBody(BaseModel, extra="forbid"):
    """Why the account is closed."""

    reason: Reason


async def _acts(request: Request) -> Acts:
    acts: Acts = request.app.state.acts
    return acts


routes = APIRouter()
Doing = Annotated[Acts, Depends(_acts)]


@routes.delete("/v1/users/{user_id:encoded}", status_code=202)
async def erase(user_id: UserId, _: Erasing, acts: Doing) -> dict[str, Any]:
    """Erase a person: what names the user goes, the account's numbers stay."""
    return {"user_id": user_id, "erased_up_to": await acts.erase(user_id)}


@routes.put("/v1/accounts/{account_id:encoded}/override", status_code=202)
async def override(
    account_id: Id, body: OverrideBody, caller: Acting, acts: Doing
) -> dict[str, Any]:
    """Set a score instead of the computed one, until it expires."""
    expires_ms = None if body.expires_at is None else datetime_ms(body.expires_at)
    accepted = await acts.override(account_id, caller.author, body.score, body.reason, expires_ms)
    return {"account_id": account_id, "override": accepted}


@routes.delete("/v1/accounts/{account_id:encoded}/override", status_code=202)
async def end_override(account_id: Id, caller: Acting, acts: Doing) -> dict[str, Any]:
    """Let the computed score count again."""
    await acts.end_override(account_id, caller.author)
    return {"account_id": account_id, "override": None}


@routes.post("/v1/accounts/{account_id:encoded}/close", status_code=202)
async def close(account_id: Id, body: CloseBody, caller: Acting, acts: Doing) -> dict[str, Any]:
    """Close an account: it leaves lists, figures and alerts; its history stays."""
    await acts.close(account_id, caller.author, body.reason)
    return {"account_id": account_id, "closed": True, "reason": body.reason}


@routes.post("/v1/accounts/{account_id:encoded}/reopen", status_code=202)
async def reopen(account_id: Id, caller: Acting, acts: Doing) -> dict[str, Any]:
    """Open a closed account again."""
    await acts.reopen(account_id)
    return {"account_id": account_id, "closed": False}
