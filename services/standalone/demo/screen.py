"""The live screen, from what the APIs said and what the simulated product has sent. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from services.standalone.demo.news import Move
from services.standalone.demo.reading import Reading
from services.standalone.demo.tables import STYLES, WIDE_COLUMNS, person, reason
from shared.data_dir import UpFile
from shared.times import iso_time

BANDS = ("healthy", "watch", "at_risk", "critical")
FIXED_LINES = 14
"""What is not a move or an alert."""
ROWS_MIN = 2
FALLING, RISING = "red", "green"


@dataclass(frozen=True)
class Scene:
    """What the screen shows. Rates are events a second, by way; `arrived_ms` is for each alert
    when it came, 0 where that was before the screen began."""

    began_ms: int
    now_ms: int
    reading: Reading
    moves: Sequence[Move]
    alerts: Sequence[tuple[Mapping[str, Any], int]]
    sent: Counter[str]
    rates: Mapping[str, float]
    counted: int
    up_file: UpFile
    data_dir: str
    notice: str = ""


def screen(scene: Scene, width: int, height: int) -> Group:
    """The whole screen, for a terminal of so many columns and lines."""
    rows = max(height - FIXED_LINES, 2 * ROWS_MIN)
    move_rows = max(min(len(scene.moves), rows // 2), 1)
    parts: list[RenderableType] = [
        _head(scene, width),
        *_bands(scene.reading.accounts, width),
        _traffic(scene),
        Text(),
        _title("Moved in the last minutes", "nothing yet" if not scene.moves else ""),
        _moves(scene.moves, width, move_rows),
        Text(),
        _title("Alerts", f"{len(scene.reading.still_open)} open, the newest first"),
        _alerts(scene, width, rows - move_rows),
        Text(),
        *_where(scene),
    ]
    return Group(*parts)


def _line(*parts: tuple[str, str] | str) -> Text:
    line = Text.assemble(*parts)
    line.no_wrap, line.overflow = True, "ellipsis"
    return line


def _title(name: str, note: str) -> Text:
    return _line((name, "bold"), ("  " + note, "dim"))


def _head(scene: Scene, width: int) -> Text:
    seconds = (scene.now_ms - scene.began_ms) // 1000
    left = f"Myaku 脈  {len(scene.reading.accounts)} simulated customers, live for "
    left += f"{seconds // 60}:{seconds % 60:02}"
    right = f"clock {scene.reading.clock[:16].replace('T', ' ')} UTC"
    line = _line((left, "bold"))
    line.append(" " * max(1, width - line.cell_len - len(right)) + right, "dim")
    return line


def _bands(accounts: Sequence[Mapping[str, Any]], width: int) -> Iterable[Text]:
    counts = Counter(account["band"] for account in accounts)
    room = max(width - 16, 10)
    for band in BANDS:
        bar = "█" * max(round(room * counts[band] / max(len(accounts), 1)), min(counts[band], 1))
        yield _line(f"{band.replace('_', ' '):<9} {counts[band]:>4}  ", (bar, STYLES[band]))


def _traffic(scene: Scene) -> Text:
    if scene.notice:
        return _line((scene.notice, "yellow"))
    rates = "   ".join(f"{way} {rate:.1f} events/s" for way, rate in scene.rates.items())
    sums = f"sent {scene.sent.total():,}, counted {scene.counted:,}"
    return _line(f"{rates}   {sums}")


def _grid() -> Table:
    return Table(box=None, show_header=False, padding=(0, 1, 0, 0), expand=True)


def _moves(moves: Sequence[Move], width: int, rows: int) -> Table:
    is_wide = width >= WIDE_COLUMNS
    table = _grid()
    table.add_column(no_wrap=True, max_width=24 if is_wide else 18)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    if is_wide:
        table.add_column(no_wrap=True)
    table.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
    if is_wide:
        table.add_column(no_wrap=True)
    for move in moves[:rows]:
        table.add_row(
            name(move.account),
            f"{move.before:.1f} → {move.after:.1f}",
            Text(f"{move.points:+.1f}", FALLING if move.points < 0 else RISING),
            *([_to_band(move)] if is_wide else []),
            why(move),
            *([person(str(move.account["profile"].get("csm", "")))] if is_wide else []),
        )
    return table


def name(account: Mapping[str, Any]) -> str:
    """What people call an account."""
    return str(account["profile"].get("name", account["account_id"]))


def why(move: Move) -> str:
    """The measure or rule that did most of a move, and what moved it."""
    cause = f" ({move.cause})" if move.cause else ""
    if move.reason is None:
        return reason(move.measure, move.value) + cause
    words = move.reason.rstrip(".")
    return (f"no longer: {words}" if move.is_gone else words) + cause


def _to_band(move: Move) -> Text:
    band = str(move.account["band"])
    return (
        Text(f"now {band.replace('_', ' ')}", STYLES.get(band, ""))
        if (band != move.band_before)
        else Text()
    )


def _alerts(scene: Scene, width: int, rows: int) -> Table:
    known = {account["account_id"]: account for account in scene.reading.accounts}
    table = _grid()
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, ratio=1, overflow="ellipsis")
    for alert, came_ms in scene.alerts[:rows]:
        is_over = alert["state"] == "resolved"
        style = RISING if is_over else STYLES.get(alert["severity"] or "", "")
        table.add_row(
            Text(when(alert, came_ms), "bold" if came_ms else "dim"),
            Text(headline(alert, known, short=width < WIDE_COLUMNS), style),
            person(alert["owner"]),
            Text(first_reason(alert), "" if came_ms else "dim"),
        )
    return table


def headline(
    alert: Mapping[str, Any], known: Mapping[str, Mapping[str, Any]], *, short: bool = False
) -> str:
    """What an alert says; of one that is over, how the account is now."""
    account = known.get(alert["account_id"], {"score": None, "profile": {}, **alert})
    if alert["state"] == "resolved":
        return f"Over: {name(account)}, now {account['score']}"
    return f"{name(account)} {alert['score']}" if short else str(alert["title"])


def when(alert: Mapping[str, Any], came_ms: int) -> str:
    """The time of day at which an alert came, or the day on which it opened."""
    return iso_time(came_ms)[11:19] if came_ms else str(alert["opened_at"])[:10]


def first_reason(alert: Mapping[str, Any]) -> str:
    """The reason that weighs most; nothing once it is over."""
    is_over = alert["state"] == "resolved"
    return str(alert["reasons"][0]["text"]) if alert["reasons"] and not is_over else ""


def _where(scene: Scene) -> Iterable[Text]:
    up_file = scene.up_file
    yield _line(("Scores  ", "bold"), f"{up_file.scoring}/v1/accounts")
    yield _line(("Alerts  ", "bold"), f"{up_file.alerts}/v1/alerts")
    yield _line(
        ("Ctrl-C ends it.", "bold"),
        (f"  The token for curl, the write key and the broker: {scene.data_dir}/up.json", "dim"),
    )


def time_of_day(at_ms: int) -> str:
    """Hours, minutes and seconds, UTC."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%H:%M:%S")
