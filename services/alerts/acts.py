"""What a user does to an alert, in one transaction that the pipeline waits for."""

from sqlalchemy.ext.asyncio import AsyncConnection

from services.alerts.alert import Alert
from services.alerts.decide import Act, act
from services.alerts.load import load_accounts, lock
from services.alerts.queries import select_alert
from services.alerts.store import save
from shared.problems import Problem


async def perform(
    connection: AsyncConnection, alert_id: str, user_act: Act, *, deliver_history: bool
) -> tuple[Alert, bool]:
    """The alert after the act, and whether something is to be delivered. Raises Problem."""
    found = await select_alert(connection, alert_id)
    if found is None:
        raise unknown(alert_id)
    partition, alert = found
    await lock(connection, partition)
    state = await load_accounts(connection, partition, [alert.account_id])
    # Between the two reads the alert may have ended, or come to nothing.
    current = state.alerts.get(alert_id)
    key = (alert.account_id, alert.rule, alert.subject)
    standing = state.standings[key]
    if current is None or current.episode != standing.episode:
        raise _over(alert_id)
    effects = act(state, key, user_act, deliver_history=deliver_history)
    after = state.alerts.get(alert_id)
    done = {"acknowledge": "acknowledged", "close": "closed"}[user_act.what]
    if after is None or not any(event.what == done for event in effects.events):
        raise _acknowledged(alert_id) if current.handling == "acked" else _over(alert_id)
    await save(connection, state, effects)
    return after, any(note.way != "record" for note in effects.notifications)


def unknown(alert_id: str) -> Problem:
    """There is no such alert."""
    return Problem(404, "unknown_alert", f"There is no alert {alert_id!r}.")


def _over(alert_id: str) -> Problem:
    return Problem(409, "alert_not_open", f"The alert {alert_id!r} is not open.")


def _acknowledged(alert_id: str) -> Problem:
    return Problem(409, "already_acknowledged", f"The alert {alert_id!r} was acknowledged before.")
