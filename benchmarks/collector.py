"""What an event over HTTP costs, durable, against a server that does nothing.

    python -m benchmarks.collector [--kafka HOST:PORT] [--seconds 5] [--rounds 3]

The floor is the same HTTP server (uvicorn) with an application that reads the body, decodes it as
JSON and answers. Myaku examines every event, answers each, and answers only when the broker has
all; in the same process its pipeline takes the same events on to `usage.accepted`. Compared are
CPU seconds, since all processes share the machine's cores (Linux only). Ends with 1 where a ratio's
median is above its stated limit.
"""

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.history import cpu_seconds
from shared.runtime import now_ms
from shared.times import iso_time
from tests.conftest import remove_topics
from tests.end_to_end.installation import up

CONNECTIONS = 8
LIMITS = {1: 15.0, 100: 40.0}
"""Of requests with so many events, how many times the bare server's CPU we accept."""

BARE = """
import sys, msgspec, uvicorn
async def app(scope, receive, send):
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message["body"], message["more_body"]
    answer = msgspec.json.encode({"accepted": len(msgspec.json.decode(body))})
    await send({"type": "http.response.start", "status": 200,
                "headers": [(b"content-length", b"%d" % len(answer))]})
    await send({"type": "http.response.body", "body": answer})
from shared.runtime import listen
listener = listen(0)
print(listener.getsockname()[1], flush=True)
config = uvicorn.Config(app, http="h11", log_level="critical", lifespan="off")
uvicorn.Server(config).run(sockets=[listener])
"""


def body(events: int, number: int) -> bytes:
    """So many native events, none sent before."""
    time_now = iso_time(now_ms())
    return json.dumps(
        [
            {
                "id": f"{time_now} {number} {place}",
                "type": "feature.used",
                "account_id": f"account-{(number + place) % 5000:05}",
                "user_id": f"user-{place}",
                "time": time_now,
                "properties": {"feature": f"feature-{place % 40}", "count": place % 7},
            }
            for place in range(events)
        ]
    ).encode()


@dataclass(frozen=True)
class Cost:
    """Events a second, and the server's CPU µs for each."""

    per_second: float
    cpu_us: float


async def load(url: str, pid: int, key: str, events: int, seconds: float) -> Cost:
    """What a server makes of requests with so many events, over CONNECTIONS connections."""
    place = urlsplit(url)
    assert place.hostname
    assert place.port
    numbers = iter(range(1 << 60))
    ends_at = time.perf_counter() + seconds
    head = f"POST /v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n"

    async def post_on(host: str, port: int) -> int:
        reader, writer = await asyncio.open_connection(host, port)
        done = 0
        while time.perf_counter() < ends_at:
            content = body(events, next(numbers))
            writer.write(f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content)
            answered = await reader.readuntil(b"\r\n\r\n")
            assert answered.startswith(b"HTTP/1.1 200"), answered
            length = answered.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
            await reader.readexactly(int(length))
            done += events
        writer.close()
        return done

    began, spent = time.perf_counter(), cpu_seconds(pid)
    done = await asyncio.gather(*(post_on(place.hostname, place.port) for _ in range(CONNECTIONS)))
    spent = cpu_seconds(pid) - spent
    return Cost(sum(done) / (time.perf_counter() - began), spent / sum(done) * 1e6)


@asynccontextmanager
async def bare() -> AsyncIterator[tuple[str, int]]:
    """The server that does nothing; its address and process."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", BARE, stdout=subprocess.PIPE
    )
    assert process.stdout
    try:
        yield f"http://127.0.0.1:{int(await process.stdout.readline())}", process.pid
    finally:
        process.terminate()
        await process.wait()


async def main() -> int:
    """All rounds; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--kafka", help="HOST:PORT; our topics there are removed first")
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    chosen = parser.parse_args()
    options = ["--kafka", chosen.kafka] if chosen.kafka else []
    if chosen.kafka:
        await remove_topics(chosen.kafka)
    ratios: dict[int, list[float]] = {events: [] for events in LIMITS}
    with tempfile.TemporaryDirectory(prefix="myaku-bench-") as directory:
        async with up(Path(directory) / "data", *options) as myaku, bare() as nothing:
            key = myaku.up_file["write_key"]
            ours = myaku.up_file["ingest"], myaku.up_file["pids"]["ingest"]
            for _ in range(chosen.rounds):
                for events, found in ratios.items():
                    floor = await load(*nothing, key, events, chosen.seconds)
                    cost = await load(*ours, key, events, chosen.seconds)
                    found.append(cost.cpu_us / floor.cpu_us)
                    print(
                        f"{events:>4} a request: {cost.per_second:,.0f} events/s,"
                        f" {cost.cpu_us:.0f} µs of CPU each; bare {floor.cpu_us:.0f} µs"
                    )
    medians = {events: statistics.median(found) for events, found in ratios.items()}
    for events, median in medians.items():
        print(f"{events:>4} a request: {median:.1f} × the bare server (limit {LIMITS[events]})")
    return int(any(median > LIMITS[events] for events, median in medians.items()))


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
