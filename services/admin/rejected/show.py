"""What was refused, in words: no byte of it reaches the terminal as it is. Pure."""

import base64
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from services.admin.rejected.entry import Entry

BYTES_SHOWN = 2_000


def safe(raw: bytes | str | None, most: int = BYTES_SHOWN) -> str:
    """Text for people: what does not print is escaped, what is long is cut and its size told."""
    if raw is None:
        return "(none)"
    cut = raw[:most]
    text = cut.decode(errors="backslashreplace") if isinstance(cut, bytes) else cut
    shown = "".join(
        each if each.isprintable() else each.encode("unicode_escape", "surrogatepass").decode()
        for each in text
    )
    if len(raw) > most:
        shown += f" … (the first {most:,} of {len(raw):,})"
    return shown


def counts_of(counts: Counter[str]) -> str:
    """As `bad_time 3, unknown_account 1`."""
    return ", ".join(f"{name} {count:,}" for name, count in counts.most_common())


def table(entries: Iterable[Entry]) -> Table:
    """The entries, one a line."""
    columns = [
        Column("position", no_wrap=True),
        Column("refused at", no_wrap=True),
        Column("reason", no_wrap=True),
        Column("account", overflow="ellipsis", no_wrap=True, max_width=14),
        Column("id", overflow="ellipsis", no_wrap=True),
    ]
    made = Table(*columns, box=None, pad_edge=False)
    for entry in entries:
        known = [_named(entry, "account_id"), _named(entry, "id")]
        cells = [entry.position, _minute(entry.at), safe(entry.reason, 30), *known]
        made.add_row(*map(Text, cells))
    return made


def _minute(at: str | None) -> str:
    return "-" if at is None else safe(at[5:16].replace("T", " "))


def _named(entry: Entry, name: str) -> str:
    value = entry.body.get(name)
    return safe(value, 40) if isinstance(value, str) else "-"


def whole(entry: Entry) -> str:
    """All of one entry."""
    size = len(entry.value or b"")
    cut = ", cut when it was refused" if entry.is_cut else ""
    lines = {
        "position": entry.position,
        "stood at": safe(entry.origin),
        "refused at": safe(entry.at) if entry.at else "(not kept)",
        "reason": safe(entry.reason),
        "why": safe(entry.detail),
        "key": safe(entry.key, 200),
        **{f"header {safe(name, 50)}": safe(value, 200) for name, value in entry.headers.items()},
        "value": f"{size:,} bytes{cut}",
    }
    told = [f"{name + ':':<12} {value}" for name, value in lines.items()]
    return "\n".join([*told, safe(entry.value)] if entry.value else told)


def as_data(entry: Entry, *, complete: bool) -> dict[str, Any]:
    """For programs; complete with the bytes, in Base64."""
    told: dict[str, Any] = {
        "position": entry.position,
        "origin": entry.origin,
        "refused_at": entry.at,
        "reason": entry.reason,
        "detail": entry.detail,
        "source": entry.source,
        "account_id": entry.body.get("account_id"),
        "id": entry.body.get("id"),
        "bytes": len(entry.value or b""),
        "cut": entry.is_cut,
    }
    if complete:
        told |= {"key": _base64(entry.key), "value": _base64(entry.value)}
        told["headers"] = {name: _base64(value) for name, value in entry.headers.items()}
    return told


def _base64(raw: bytes | None) -> str | None:
    return None if raw is None else base64.b64encode(raw).decode()


def listing(entries: Sequence[Entry], counts: Counter[str], console: Console) -> None:
    """How many there are by reason, and the newest of them."""
    total = counts.total()
    if not total:
        console.print("Nothing that is asked for was refused or put aside.")
        return
    console.print(Text(f"{total:,}: {safe(counts_of(counts))}"))
    if len(entries) < total:
        console.print(f"The newest {len(entries):,} of each place:", highlight=False)
    console.print(table(entries))
