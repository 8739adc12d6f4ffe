"""The demo while it is live: a screen on a terminal, lines elsewhere, read from the public APIs."""

import asyncio
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import httpx2
from rich.console import Console
from rich.live import Live as LiveScreen

from services.standalone.demo import reading as public
from services.standalone.demo.news import Arrivals, Moves
from services.standalone.demo.reading import Reading
from services.standalone.demo.screen import (
    Scene,
    first_reason,
    headline,
    name,
    screen,
    time_of_day,
    when,
    why,
)
from services.standalone.demo.tables import person
from services.standalone.demo.traffic import HTTP, KAFKA, Traffic
from services.standalone.installation import Installation
from shared.runtime import UserError, now_ms

EVERY_SECONDS = 1.0
WINDOW_MS = 5 * 60_000
RATE_SECONDS = 10
SAID_LOOKS = 15
COUNTS_EVERY = 30
"""Without a terminal, the counts are said every so many looks."""


class Said:
    """What the supervisor says would be drawn over: the screen has a line for it."""

    def __init__(self, said: list[str]) -> None:
        self._said = said
        self._known = len(said)
        self._looks_left = 0

    def lately(self) -> str:
        """The newest sentence, for so many looks."""
        if len(self._said) > self._known:
            self._known, self._looks_left = len(self._said), SAID_LOOKS
        self._looks_left -= 1
        return self._said[-1] if self._looks_left >= 0 else ""


class Show:
    """What was seen so far, and how it is shown."""

    def __init__(self, installation: Installation, traffic: Traffic, counted_before: int) -> None:
        self._installation = installation
        self._traffic = traffic
        self._counted_before = counted_before
        self._began_ms = now_ms()
        self._moves = Moves(WINDOW_MS)
        self._arrivals = Arrivals()
        self._bands: dict[str, str] = {}
        self._sent: deque[Counter[str]] = deque(maxlen=RATE_SECONDS + 1)
        self._reading: Reading
        self._looks = 0
        self._said = Said(installation.said)

    async def run(self, console: Console) -> None:
        """Look once a second and show it, for ever. Raises UserError if nothing ever answers."""
        installation = self._installation
        live = LiveScreen(console=console, screen=True, auto_refresh=False)
        with live if console.is_terminal else nullcontext():
            async with public.client(installation.up_file) as client:
                while True:
                    lines, notice = await self._look(client)
                    notice = notice or self._said.lately()
                    if console.is_terminal:
                        live.update(screen(self._scene(notice), *console.size), refresh=True)
                    else:
                        for line in lines:
                            console.print(line, markup=False, highlight=False, soft_wrap=True)
                    await asyncio.sleep(EVERY_SECONDS)

    async def _look(self, client: httpx2.AsyncClient) -> tuple[list[str], str]:
        """Ask the APIs; what is new as lines, and a sentence where they do not answer."""
        self._sent.append(self._traffic.sent.copy())
        try:
            self._reading = await public.read(client, self._installation.up_file)
        except UserError as error:
            if not self._looks:
                raise
            return [str(error)], str(error)
        self._looks += 1
        at_ms = now_ms()
        self._moves.note(at_ms, self._reading.accounts)
        fresh = self._arrivals.note(at_ms, [*self._reading.still_open, *self._reading.resolved])
        return [
            *self._band_lines(at_ms),
            *self._alert_lines(fresh, at_ms),
            *self._count_lines(),
        ], ""

    def _scene(self, notice: str) -> Scene:
        alerts = [
            (alert, self._arrivals.at_ms(alert))
            for alert in [*self._reading.still_open, *self._reading.resolved]
        ]
        shown = [(alert, came) for alert, came in alerts if came or alert["state"] != "resolved"]
        shown.sort(key=lambda each: each[1], reverse=True)
        return Scene(
            began_ms=self._began_ms,
            now_ms=now_ms(),
            reading=self._reading,
            moves=self._moves.recent(),
            alerts=shown,
            sent=self._traffic.sent,
            rates=self._rates(),
            counted=self._reading.counted - self._counted_before,
            up_file=self._installation.up_file,
            data_dir=_shown(self._installation.data_dir.path),
            notice=notice,
        )

    def _rates(self) -> dict[str, float]:
        seconds = max(len(self._sent) - 1, 1) * EVERY_SECONDS
        first, last = self._sent[0], self._sent[-1]
        return {way: (last[way] - first[way]) / seconds for way in (HTTP, KAFKA)}

    def _band_lines(self, at_ms: int) -> Iterator[str]:
        moves = {move.account["account_id"]: move for move in self._moves.recent()}
        for account in self._reading.accounts:
            before = self._bands.get(account["account_id"])
            self._bands[account["account_id"]] = account["band"]
            move = moves.get(account["account_id"])
            if move and before not in (None, account["band"]):
                yield (
                    f"{time_of_day(at_ms)} score  {name(account)}: {move.before:.1f} →"
                    f" {move.after:.1f}, {move.band_before} → {account['band']}; {why(move)}"
                )

    def _alert_lines(self, fresh: list[Mapping[str, Any]], at_ms: int) -> Iterator[str]:
        known = {account["account_id"]: account for account in self._reading.accounts}
        for alert in fresh:
            line = f"{when(alert, at_ms)} alert  {headline(alert, known)}"
            line += f" ({alert['severity']}) for {person(alert['owner'])}"
            yield f"{line}: {reason}" if (reason := first_reason(alert)) else line

    def _count_lines(self) -> Iterator[str]:
        if self._looks % COUNTS_EVERY == 1:
            bands = Counter(account["band"] for account in self._reading.accounts)
            counted = self._reading.counted - self._counted_before
            yield (
                f"{time_of_day(now_ms())} counts sent {self._traffic.sent.total():,}"
                f" ({_by_way(self._traffic.sent)}), counted {counted:,}; accounts: "
                + ", ".join(f"{number} {band}" for band, number in bands.most_common())
            )


def _shown(path: Path) -> str:
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def _by_way(sent: Counter[str]) -> str:
    return ", ".join(f"{way} {sent[way]:,}" for way in (HTTP, KAFKA))
