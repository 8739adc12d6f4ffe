"""The faults: each method is one, begins when it is called, and has ended when it returns."""

import asyncio
import signal
from collections import Counter
from collections.abc import Callable

import asyncpg

from services.standalone.keeper import Leash
from tests.chaos.actions import Action
from tests.chaos.fleet import Fleet, Member, members
from tests.chaos.proxy import Direction, Proxy
from tests.chaos.servers import Broker, Postgres
from tests.chaos.world import DAY_MS
from tests.driven_clock import DrivenClock
from tests.processes import passes, until

REACH_SECONDS = 15
TERM_SECONDS = 35
"""A process that is told to end has ended after 30 s."""

COMMIT_DELAY_US = 100_000
"""PostgreSQL's longest `commit_delay`: a disk that needs as long to be written."""


class Faults:
    """What can be done to the parts of a run; several may go on at the same time."""

    def __init__(
        self,
        fleet: Fleet,
        postgres: Postgres,
        brokers: tuple[Broker, list[Proxy]],
        clock: DrivenClock,
        leash: Leash,
    ) -> None:
        self.fleet = fleet
        self.postgres = postgres
        self.broker, self.proxies = brokers
        self.clock = clock
        self.leash = leash
        self.done: Counter[str] = Counter()
        self.restarting = asyncio.Lock()

    async def run(self, action: Action) -> None:
        """Do one of the list."""
        await getattr(self, action.what)(**action.arguments)
        self.done[action.what] += 1

    def _free(self, service: str, number: int) -> Member | None:
        """A process that no other fault has in hand; None if all are taken."""
        found = self.fleet.of(service)
        turned = found[number % len(found) :] + found[: number % len(found)]
        return next((member for member in turned if member.runs and not member.held), None)

    async def kill(self, service: str, number: int) -> None:
        """SIGKILL."""
        if member := self._free(service, number):
            member.kill()

    async def fail(self, service: str, number: int, at: str) -> None:
        """A process that ends by SIGKILL exactly at a point."""
        if member := self._free(service, number):
            member.held = True
            member.kill()
            member.start(at)
            if await self._comes(lambda: not member.runs):
                self.done[at.partition(":")[0]] += 1
            member.kill()
            member.held = False

    async def stop_in_transaction(self, service: str, number: int, at: str, seconds: float) -> None:
        """A process that stands still while its transaction is open, and then goes on."""
        if member := self._free(service, number):
            member.held = True
            member.kill()
            member.start(at)
            if await self._comes(lambda: member.stands_still):
                self.done["stands still at " + at.partition(":")[0]] += 1
                await passes(seconds)
                member.signal(signal.SIGCONT)
            else:
                member.kill()  # or it would stand still later, with nobody to wake it
            member.held = False

    async def _comes(self, condition: Callable[[], bool]) -> bool:
        for _ in range(REACH_SECONDS * 20):
            if condition():
                return True
            await passes(0.05)
        return False

    async def stop(self, service: str, number: int, seconds: float) -> None:
        """SIGSTOP for longer than the session's time-out: a zombie afterwards."""
        if member := self._free(service, number):
            member.held = True
            member.signal(signal.SIGSTOP)
            await passes(seconds)
            member.signal(signal.SIGCONT)
            member.held = False

    async def restart(self, service: str, number: int) -> None:
        """SIGTERM, as in an upgrade."""
        if member := self._free(service, number):
            member.held = True
            await self._terminate(member)
            member.held = False

    async def _terminate(self, member: Member) -> None:
        member.signal(signal.SIGTERM)

        async def is_over() -> bool:
            return not member.runs

        await until(is_over, TERM_SECONDS)

    async def add(self, service: str, seconds: float) -> None:
        """One more for a while."""
        like = self.fleet.of(service)[0]
        environments = {service: like.environment}
        (more,) = members({service: 1}, like.log.parent, environments, self.leash)
        more.number, more.log = 9, like.log.with_name(f"{service}-more.log")
        more.held = True
        more.start()
        self.fleet.members.append(more)
        await passes(seconds)
        await self._terminate(more)
        self.fleet.members.remove(more)
        self.fleet.gone.append(more)

    async def restart_postgres(self, *, at_once: bool) -> None:
        """Fast, or so that it must recover as after a crash."""
        async with self.restarting:
            await self.postgres.stop(at_once=at_once)
            await self.postgres.start()

    async def restart_broker(self) -> None:
        """SIGKILL, of one if there are several; it comes back with its log."""
        async with self.restarting:
            await self.broker.restart()

    def _link(self, link: str) -> Proxy:
        return self.proxies[0] if link == "broker" else self.postgres.proxies[link]

    async def cut(self, link: str) -> None:
        """All connections of a link, by RST."""
        self._link(link).reset()

    async def slow(
        self, link: str, delay_seconds: float, bytes_per_second: float, seconds: float
    ) -> None:
        """A link that is slow for a while."""
        proxy = self._link(link)
        proxy.delay_seconds, proxy.bytes_per_second = delay_seconds, bytes_per_second
        await passes(seconds)
        proxy.delay_seconds, proxy.bytes_per_second = 0.0, None

    async def silent(self, link: str, directions: tuple[Direction, ...], seconds: float) -> None:
        """A link that swallows all, or all of one direction, for a while; then it is cut."""
        proxy = self._link(link)
        proxy.block(*directions)
        await passes(seconds)
        proxy.reset()
        for direction in directions:
            proxy.flowing[direction].set()

    async def cut_commits(self, service: str, direction: Direction, count: int) -> None:
        """The next COMMITs of a service end in a cut: nobody there knows what became of them."""
        self.postgres.proxies[service].commits_cut[direction] += count

    async def slow_disk(self, seconds: float) -> None:
        """Commits that take long."""
        await self._commit_delay(COMMIT_DELAY_US)
        await passes(seconds)
        await self._commit_delay(0)

    async def _commit_delay(self, microseconds: int) -> None:
        async with self.restarting:
            connection = await asyncpg.connect(self.postgres.url)
            await connection.execute(f"ALTER SYSTEM SET commit_delay = {microseconds}")
            await connection.execute("ALTER SYSTEM SET commit_siblings = 0")
            await connection.execute("SELECT pg_reload_conf()")
            await connection.close()

    async def lock(self, room: str, partition: int, seconds: float) -> None:
        """Somebody else holds the row that fences a partition."""
        try:
            connection = await asyncpg.connect(self.postgres.url)
            async with connection.transaction():
                await connection.execute(
                    f"SELECT * FROM {room}.partition WHERE partition = $1 FOR UPDATE", partition
                )
                await passes(seconds)
            await connection.close()
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
            return  # the database was restarted meanwhile, which frees the row

    async def step_clock(self, seconds: int) -> None:
        """The clock of all machines jumps."""
        self.clock.forward(seconds)

    async def turn_day(self) -> None:
        """It is midnight, while events flow."""
        self.clock.move_to(-(-self.clock.now_ms // DAY_MS) * DAY_MS)
