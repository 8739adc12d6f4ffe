"""Wires the scoring service and runs it: `python -m services.scoring`."""

import asyncio
import os
import socket
import sys

from services.scoring.acts import Acts
from services.scoring.api import create_app
from services.scoring.pipeline import Scoring
from services.scoring.settings import ScoringSettings
from shared import database, kafka, runtime
from shared.access import Keyring
from shared.events import USAGE_ACCEPTED
from shared.log_identity import check_log
from shared.loop import Loop
from shared.watch import Watch


async def serve(settings: ScoringSettings, api: socket.socket, running: runtime.Running) -> None:
    """Score until the process is to stop."""
    url = settings.database_url.get_secret_value()
    engine = database.create(url, application="myaku-scoring")
    await database.check(engine, url)
    await check_log(settings, engine, "scoring")
    producer = kafka.producer(settings)
    await kafka.start(producer, settings)
    owner = f"{socket.gethostname()}:{os.getpid()}"
    room = Scoring(engine, producer, owner=owner, moved_by=settings.clock, now_ms=runtime.now_ms)
    loop = Loop(settings, USAGE_ACCEPTED, room, running)
    moving = settings.clock == "wall"
    watch = Watch(loop.clocks, runtime.now_ms, running.readiness, moving=moving)
    acts = Acts(engine, producer, settings.secret_key.get_secret_value(), runtime.now_ms)
    app = create_app(engine, Keyring(engine), acts)
    try:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(loop.run(f"{settings.group}-scoring"))
            tasks.create_task(watch.run(running))
            tasks.create_task(runtime.serve_http(app, api, running))
    finally:
        await producer.stop()
        await engine.dispose()


def main() -> int:
    """Run the service; the exit status."""
    try:
        settings = ScoringSettings.read()
        api = runtime.listen(settings.scoring_port, settings.host)
        operations = runtime.listen(settings.scoring_operations_port, settings.host)
    except runtime.UserError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return runtime.run(
        lambda running: serve(settings, api, running),
        log_format=settings.log_format,
        log_level=settings.log_level,
        operations=operations,
        parent_fd=settings.parent_fd,
    )


if __name__ == "__main__":
    sys.exit(main())
