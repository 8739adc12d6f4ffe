"""What goes wrong, and when: each nemesis strikes, and what it did ends by itself."""

import random
from collections.abc import Callable

from tests.simulation.event_loop import SERVERS
from tests.simulation.network import Dial
from tests.simulation.services import Fleet, Worker

STRIKE_SECONDS_MIN = 0.1
STRIKE_SECONDS_MAX = 4.0
CALM_SECONDS = 4.0
FAULTY_SECONDS_MAX = 12.0
STEPS_MAX = 120
STOPPED_SECONDS_MAX = 15.0


class Nemeses:
    """Those that a seed has chosen; `done` is what they did."""

    def __init__(self, fleet: Fleet, chance: random.Random) -> None:
        self.fleet = fleet
        self.chance = chance
        self.loop = fleet.loop
        self.done: list[str] = []
        self.until = 0.0
        everything: list[Callable[[], str]] = [
            self.kill,
            self.stall,
            self.restart,
            self.rebalance,
            self.give_twice,
            self.lose_requests,
            self.lose_answers,
            self.cut_off,
            self.fall_silent,
            self.slow_down,
        ]
        self.chosen = chance.sample(everything, chance.randint(1, 4))

    async def run(self, seconds: float) -> None:
        """Strike again and again, with calm between, and heal in the end."""
        self.until = self.loop.now + seconds
        while self.loop.now < self.until:
            calm = CALM_SECONDS if self.chance.random() < 0.2 else 0.0
            strike = self.chance.uniform(STRIKE_SECONDS_MIN, STRIKE_SECONDS_MAX)
            await self.loop.pause(calm + strike)
            nemesis = self.chance.choice(self.chosen)
            self.done.append(f"{self.loop.now:6.2f} s  {nemesis.__name__}: {nemesis()}")
            self.fleet.network.sometimes[f"nemesis {nemesis.__name__}"] += 1
        self.heal()

    def heal(self) -> None:
        """Everything works again."""
        self.fleet.network.calm()
        for group in self.fleet.broker.groups.values():
            group.doubles = False
        for worker in self.fleet.workers:
            worker.process.strike = None
            if worker.process.stopped:
                self.loop.continue_process(worker.process)

    def _worker(self) -> Worker:
        return self.chance.choice(self.fleet.workers)

    def kill(self) -> str:
        """SIGKILL, at whichever await it is."""
        worker = self._worker()
        process = worker.process
        if process.dead:
            return "nobody"

        def strike() -> None:
            if not process.dead:
                worker.kill()

        steps = self.chance.randint(1, STEPS_MAX)
        process.strike_after(steps, strike)
        return f"{process.name} after {steps} steps"

    def stall(self) -> str:
        """SIGSTOP, often for longer than a session, and SIGCONT."""
        process = self._worker().process
        if process.dead or process.stopped:
            return "nobody"
        seconds = self.chance.uniform(0.5, STOPPED_SECONDS_MAX)
        steps = self.chance.randint(1, STEPS_MAX)

        def strike() -> None:
            process.stopped = True
            self.loop.call_later(seconds, self.loop.continue_process, process, context=SERVERS)

        process.strike_after(steps, strike)
        return f"{process.name} after {steps} steps for {seconds:.1f} s"

    def restart(self) -> str:
        """SIGTERM."""
        worker = self._worker()
        if worker.process.dead:
            return "nobody"
        worker.stop()
        return worker.process.name

    def rebalance(self) -> str:
        """A storm: the groups change again and again."""
        times = self.chance.randint(1, 4)
        for number in range(times):
            for group in self.fleet.broker.groups.values():
                self.loop.call_later(number * self.chance.random(), group.shake, context=SERVERS)
        return f"{times} times"

    def give_twice(self) -> str:
        """Partitions may get two owners at the next rebalances."""
        for group in self.fleet.broker.groups.values():
            group.doubles = True
            group.shake()
        return "from now on"

    def lose_requests(self) -> str:
        """Connections break before what was asked for is done."""
        return self._turn("loses_requests", self.chance.choice((0.05, 0.2, 0.5)))

    def lose_answers(self) -> str:
        """Connections break after it was done."""
        return self._turn("loses_answers", self.chance.choice((0.05, 0.2, 0.5)))

    def cut_off(self) -> str:
        """Nothing answers."""
        return self._turn("down", value=True)

    def fall_silent(self) -> str:
        """Connections stand, and say nothing."""
        return self._turn("silent", value=True)

    def slow_down(self) -> str:
        """Answers take up to seconds."""
        return self._turn("slow", self.chance.choice((0.1, 0.5)))

    def _turn(self, name: str, value: float | bool) -> str:
        dials = self.fleet.network.dials
        server = self.chance.choice(["broker", *sorted(self.fleet.services)])
        dial: Dial = dials[server]
        setattr(dial, name, value)
        seconds = self.chance.uniform(0.5, FAULTY_SECONDS_MAX)
        self.loop.call_later(seconds, setattr, dial, name, 0, context=SERVERS)
        return f"{server} {value} for {seconds:.1f} s"
