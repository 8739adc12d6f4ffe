"""Wires the ingest service and runs it: `python -m services.ingest`."""

import asyncio
import socket
import sys

from services.ingest.collector import create_app
from services.ingest.intake import Intake
from services.ingest.pipeline import Ingest
from services.ingest.publish import Publisher
from services.ingest.settings import IngestSettings
from shared import database, kafka, runtime
from shared.access import Keyring
from shared.events import USAGE_ACCEPTED, USAGE_EVENTS, USAGE_REJECTED
from shared.log_identity import check_log
from shared.settings import Settings
from shared.watch import Watch


async def serve(settings: Settings, api: socket.socket, running: runtime.Running) -> None:
    """Take events in until the process is to stop."""
    url = settings.database_url.get_secret_value()
    engine = database.create(url, application="myaku-ingest")
    producer = kafka.producer(settings)
    try:
        await database.check(engine, url)
        await kafka.start(producer, settings)
        sources = await kafka.need_partitions(producer, USAGE_EVENTS, settings)
        partitions = await kafka.need_partitions(producer, USAGE_ACCEPTED, settings)
        rejected = await kafka.need_partitions(producer, USAGE_REJECTED, settings)
        await check_log(settings, engine, "scoring")
        publisher = Publisher(producer, partitions, rejected)
        intake = Intake(producer, sources, rejected)
        app = create_app(Keyring(engine), intake, runtime.now_ms)
        ingest = Ingest(settings, engine, publisher, runtime.now_ms, running, intake.refusals)
        moving = settings.clock == "wall"
        watch = Watch(ingest.clocks, runtime.now_ms, running.readiness, moving=moving)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(runtime.serve_http(app, api, running))
            tasks.create_task(ingest.run())
            tasks.create_task(watch.run(running))
    finally:
        await producer.stop()
        await engine.dispose()


def main() -> int:
    """Run the service; the exit status."""
    try:
        settings = IngestSettings.read()
        api = runtime.listen(settings.ingest_port, settings.host)
        operations = runtime.listen(settings.ingest_operations_port, settings.host)
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
