"""A preview in words and tables. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from services.scoring.preview.compare import MOST, Moved, Preview


def said(found: Preview) -> list[str]:
    """The lines of a preview."""
    if not found.accounts:
        return ["There are no accounts that the configuration could change."]
    moved = sum(count for (old, new), count in found.bands.items() if old != new)
    lines = [f"{moved} of {found.accounts} accounts would change band."]
    if found.overridden:
        lines.append(f"A person has set the score of {found.overridden}: there it stays.")
    if found.stale:
        lines.append(f"{found.stale} more are held as they are: their source is silent.")
    if moved:
        lines += ["", *_table(["from", "to", "accounts"], _bands(found))]
    for title, some in (("rise", found.rises), ("fall", found.falls)):
        if some:
            lines += ["", f"The scores that {title} most, at most {MOST}:"]
            lines += _table(["account", "from", "to", "because of"], map(_moved, some))
    lines += ["", _coverage(found)]
    if found.unknown:
        names = ", ".join(sorted(found.unknown))
        lines.append(f"Not known until `myaku backfill`, or until their windows fill: {names}.")
    return [*lines, "", *_alerts(found)]


def _bands(found: Preview) -> Iterator[list[str]]:
    for (old, new), count in sorted(found.bands.items(), key=lambda each: (-each[1], each[0])):
        if old != new:
            yield [old, new, str(count)]


def _moved(moved: Moved) -> list[str]:
    drivers = ", ".join(f"{measure} {change:+.1f}" for measure, _, change in moved.drivers)
    return [moved.account_id, f"{moved.old:.1f}", f"{moved.new:.1f}", drivers]


def _coverage(found: Preview) -> str:
    old, new = found.old_coverage / found.accounts, found.new_coverage / found.accounts
    less = (
        f"; it would be lower for {found.less_known} of {found.accounts}"
        if found.less_known
        else ""
    )
    return f"Coverage would be {new:.2f} on average, and is {old:.2f} now{less}."


def _alerts(found: Preview) -> list[str]:
    """An alert also needs that the account was well before, and that the breach lasts."""
    rows = [[f"{rule} ({severity})", "begin", str(n)] for (rule, severity), n in
            sorted(found.begins.items())]  # fmt: skip
    rows += [[rule, "end", str(n)] for rule, n in sorted(found.ends.items())]
    if not rows:
        return ["No score would cross a line of the alerts' rules."]
    return [
        "Scores would cross these lines of alerts.yaml. An alert begins or ends when `for` or"
        " `clear_for` has passed as well, and is told in a digest.",
        *_table(["rule", "would", "accounts"], rows),
    ]


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    cells = [list(head), *map(list, rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return [
        "  "
        + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in cells
    ]


def as_json(found: Preview) -> dict[str, Any]:
    """The same for programs."""
    return {
        "accounts": found.accounts,
        "stale": found.stale,
        "overridden": found.overridden,
        "bands": [
            {"from": old, "to": new, "accounts": count}
            for (old, new), count in sorted(found.bands.items())
        ],
        "rises": [_json(one) for one in found.rises],
        "falls": [_json(one) for one in found.falls],
        "coverage": {
            "now": found.old_coverage / max(1, found.accounts),
            "then": found.new_coverage / max(1, found.accounts),
            "accounts_less_known": found.less_known,
        },
        "unknown_metrics": sorted(found.unknown),
        "alerts": {
            "begin": [
                {"rule": rule, "severity": severity, "accounts": count}
                for (rule, severity), count in sorted(found.begins.items())
            ],
            "end": [{"rule": rule, "accounts": count} for rule, count in found.ends.items()],
        },
    }


def _json(moved: Moved) -> dict[str, Any]:
    drivers = [
        {"measure": measure, "value": value, "change": change}
        for measure, value, change in moved.drivers
    ]
    return {
        "account_id": moved.account_id,
        "from": moved.old,
        "to": moved.new,
        "drivers": drivers,
    }
