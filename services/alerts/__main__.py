"""Wires the alerts service and runs it: `python -m services.alerts`."""

import asyncio
import os
import socket
import sys
from collections.abc import Mapping

import httpx2

from services.alerts.api import create_app
from services.alerts.delivery.dispatcher import Dispatcher
from services.alerts.pipeline import Alerts
from services.alerts.settings import AlertsSettings, read_secrets
from shared import database, runtime
from shared.access import Keyring
from shared.events import HEALTH_CHANGES
from shared.log_identity import check_log
from shared.loop import Loop
from shared.watch import Watch


async def serve(
    settings: AlertsSettings,
    secrets: Mapping[str, str],
    api: socket.socket,
    running: runtime.Running,
) -> None:
    """Decide and deliver until the process is to stop."""
    url = settings.database_url.get_secret_value()
    engine = database.create(url, application="myaku-alerts")
    await database.check(engine, url)
    await check_log(settings, engine, "alerts")
    client = httpx2.AsyncClient(follow_redirects=False)
    dispatcher = Dispatcher(engine, client, secrets, runtime.now_ms)
    history = settings.deliver_history
    room = Alerts(
        engine,
        owner=f"{socket.gethostname()}:{os.getpid()}",
        deliver_history=history,
        wake=dispatcher.wake,
    )
    loop = Loop(settings, HEALTH_CHANGES, room, running)
    moving = settings.clock == "wall"
    watch = Watch(loop.clocks, runtime.now_ms, running.readiness, moving=moving)
    app = create_app(engine, Keyring(engine), deliver_history=history, wake=dispatcher.wake)
    try:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(loop.run(f"{settings.group}-alerts"))
            tasks.create_task(watch.run(running))
            tasks.create_task(runtime.serve_http(app, api, running))
            tasks.create_task(dispatcher.run(running))
    finally:
        await client.aclose()
        await engine.dispose()


def main() -> int:
    """Run the service; the exit status."""
    try:
        settings = AlertsSettings.read()
        secrets = read_secrets()
        api = runtime.listen(settings.alerts_port, settings.host)
        operations = runtime.listen(settings.alerts_operations_port, settings.host)
    except runtime.UserError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return runtime.run(
        lambda running: serve(settings, secrets, api, running),
        log_format=settings.log_format,
        log_level=settings.log_level,
        operations=operations,
        parent_fd=settings.parent_fd,
    )


if __name__ == "__main__":
    sys.exit(main())
