"""A deterministic event loop: virtual time, and a seeded choice among what is ready.

Each callback belongs to a simulated process, or to none (the servers). A process that was killed
runs nothing any more; one that was stopped runs nothing until it is continued.
"""

import asyncio
import heapq
import random
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context, ContextVar, copy_context
from typing import Any, TypeVar

T = TypeVar("T")
THREAD_SECONDS_MAX = 0.02
"""What the thread that computes takes of virtual time, at most."""

TASKS_MAX = 1_000


class Process:
    """What stops, and dies, as one."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.dead = False
        self.stopped = False
        self.waiting: list[asyncio.Handle] = []
        self.steps_left = 0
        self.strike: Callable[[], None] | None = None

    def strike_after(self, steps: int, strike: Callable[[], None]) -> None:
        """Something happens to it after so many of its steps, whatever it does just then."""
        self.steps_left, self.strike = steps, strike

    def run(self, work: Callable[[], Any]) -> None:
        """Do something as this process."""
        context = copy_context()
        context.run(PROCESS.set, self)
        context.run(work)


PROCESS: ContextVar[Process | None] = ContextVar("process", default=None)
SERVERS = Context()
"""The context of what belongs to no process."""


class Endless(AssertionError):
    """The simulation did not come to its end within its bounds."""


EventLoop: Any = asyncio.AbstractEventLoop
"""Of which a test needs but a part."""


class VirtualLoop(EventLoop):  # type: ignore[misc]
    """Runs callbacks one at a time, in an order that the seed decides; time jumps."""

    def __init__(self, chance: random.Random, steps_max: int) -> None:
        self.chance = chance
        self.now = 0.0
        self.steps = 0
        self.steps_max = steps_max
        self.ready: dict[Process | None, deque[asyncio.Handle]] = {}
        self.timers: list[tuple[float, int, asyncio.TimerHandle, Context]] = []
        self.serial = 0
        self.tasks: list[asyncio.Task[Any]] = []
        self.fault: BaseException | None = None
        self.main: asyncio.Task[Any] | None = None

    def time(self) -> float:
        return self.now

    def call_soon(
        self, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        context = copy_context() if context is None else context
        handle = asyncio.Handle(callback, args, self, context)
        self._queue(handle, context)
        return handle

    call_soon_threadsafe = call_soon

    def _queue(self, handle: asyncio.Handle, context: Context) -> None:
        owner = context.get(PROCESS)
        if owner is not None and (owner.dead or owner.stopped):
            owner.waiting.append(handle)
        elif owner in self.ready:
            self.ready[owner].append(handle)
        else:
            self.ready[owner] = deque((handle,))

    def call_later(
        self, delay: float, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        return self.call_at(self.now + delay, callback, *args, context=context)

    def call_at(
        self, when: float, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        context = copy_context() if context is None else context
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        self.serial += 1
        heapq.heappush(self.timers, (when, self.serial, handle, context))
        return handle

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        pass

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(
        self, coro: Coroutine[Any, Any, T], *, name: str | None = None, context: Any = None
    ) -> asyncio.Task[T]:
        task = asyncio.Task(coro, loop=self, name=name, context=context)
        self.tasks.append(
            task
        )  # one that is never stepped again must not be collected: it would end
        if len(self.tasks) > TASKS_MAX:
            self.tasks = [task for task in self.tasks if not task.done()]
        return task

    def start(self, owner: Process, coroutine: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """A task of a process."""
        context = copy_context()
        context.run(PROCESS.set, owner)
        return self.create_task(coroutine, name=owner.name, context=context)

    def run_in_executor(self, executor: Any, work: Any, *args: Any) -> asyncio.Future[Any]:
        """The thread, in turn with everything else; what it does takes a while."""
        future = self.create_future()

        def compute() -> None:
            if not future.cancelled():
                try:
                    future.set_result(work(*args))
                except Exception as error:
                    future.set_exception(error)

        self.call_later(self.chance.random() * THREAD_SECONDS_MAX, compute)
        return future

    async def pause(self, seconds: float) -> None:
        """Let so much virtual time pass."""
        await self.signal(seconds)

    async def signal(
        self, seconds: float, signals: set[asyncio.Future[None]] | None = None
    ) -> None:
        """Wait until somebody sets what is put among the signals, or so long."""
        future = self.create_future()
        timer = self.call_later(seconds, _wake, future)
        if signals is not None:
            signals.add(future)
        try:
            await future
        finally:
            timer.cancel()
            if signals is not None:
                signals.discard(future)

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return True

    def is_closed(self) -> bool:
        return False

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        if self.main and not self.main.done():
            self.fault = (
                self.fault or context.get("exception") or AssertionError(context["message"])
            )

    def continue_process(self, process: Process) -> None:
        """A stopped process goes on with all that waited for it."""
        process.stopped = False
        waiting, process.waiting = process.waiting, []
        if waiting:
            self.ready.setdefault(process, deque()).extend(waiting)

    def run_until_complete(self, coroutine: Any) -> Any:
        """Run until the coroutine has ended. Raises Endless."""
        asyncio.events._set_running_loop(self)
        try:
            main = self.main = self.create_task(coroutine, context=SERVERS.copy())
            while not main.done() and not self.fault:
                self._step()
            if self.fault:
                raise self.fault
            return main.result()
        finally:
            asyncio.events._set_running_loop(None)
            self._abandon()

    def _abandon(self) -> None:
        """Whatever still runs goes, without another step."""
        for task in self.tasks:
            if not task.done():
                task._log_destroy_pending = False  # type: ignore[attr-defined]
                while not _closed(task.get_coro()):
                    pass

    def _step(self) -> None:
        ready = self.ready
        while not ready:
            self._turn()
        owners = list(ready)
        owner = owners[0] if len(owners) == 1 else self.chance.choice(owners)
        queue = ready[owner]
        if owner is not None and (owner.dead or owner.stopped):
            owner.waiting.extend(ready.pop(owner))
            return
        handle = queue.popleft()
        if not queue:
            del ready[owner]
        if not handle.cancelled():
            self.steps += 1
            handle._run()
            if owner is not None and owner.strike:
                owner.steps_left -= 1
                if owner.steps_left <= 0:
                    strike, owner.strike = owner.strike, None
                    strike()

    def _turn(self) -> None:
        """Let time jump to the next timer."""
        while self.timers and self.timers[0][2].cancelled():
            heapq.heappop(self.timers)
        if not self.timers or self.steps > self.steps_max:
            raise Endless(f"nothing ends any more, at {self.now:.1f} s, after {self.steps} steps")
        self.now = max(self.now, self.timers[0][0])
        while self.timers and self.timers[0][0] <= self.now:
            _, _, handle, context = heapq.heappop(self.timers)
            if not handle.cancelled():
                self._queue(handle, context)


def _closed(coroutine: Any) -> bool:
    """Whether the coroutine has ended: what it awaits while it ends does not come."""
    try:
        coroutine.close()
    except RuntimeError as error:
        return "ignored GeneratorExit" not in str(error)
    except BaseException:
        return True
    return True


def _wake(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
