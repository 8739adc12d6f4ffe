"""The demo's tables: who is at risk and why, and which alerts that raised. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

REASONS_MAX = 2
WEAK_SCORE = 60
SCORE_STEP = 30
WIDE_COLUMNS = 100
"""A narrower terminal shows less, so that the reasons stay readable."""
WHY_COLUMNS_MIN = 24
STYLES = {
    "critical": "bold red",
    "at_risk": "yellow",
    "warning": "yellow",
    "watch": "cyan",
    "healthy": "green",
}
WORDS = {
    "silence": "silent for good: {:.0%} likely",
    "login_rate_28d": "{:.0%} of seats in use",
    "active_days_90d": "used on {:.0f} of 90 days",
    "features_90d": "features in use: {:.0f}",
    "nps": "would recommend us: {:.0f} of 10",
    "tickets_rate": "questions: {:.1f} times as many",
}
"""How the shipped scorecards' measures read."""


def at_risk(accounts: Sequence[Mapping[str, Any]], width: int = WIDE_COLUMNS) -> Table:
    """Accounts (health records), in the order given, for so many columns."""
    is_wide = width >= WIDE_COLUMNS
    table = Table(title=f"{len(accounts)} accounts at risk", title_style="bold", expand=True)
    table.add_column("account", no_wrap=True)
    table.add_column("score", justify="right")
    table.add_column("28 days", justify="right", no_wrap=True)
    table.add_column("why", ratio=1, min_width=WHY_COLUMNS_MIN)
    for name in ("renews", "MRR", "owner") if is_wide else ("MRR",):
        table.add_column(name, justify="right" if name == "MRR" else "left", no_wrap=True)
    for account in accounts:
        profile, change = account["profile"], account["change_28d"]
        table.add_row(
            f"{profile.get('name', account['account_id'])} ({profile.get('size', '?')})",
            Text(_points(account["score"]), STYLES.get(account["band"], "")),
            "" if change is None else f"{change:+.0f}",
            "\n".join(reasons(account["drivers"])),
            *([str(profile.get("renews_on", ""))] if is_wide else []),
            _money(profile),
            *([person(profile.get("csm", ""))] if is_wide else []),
        )
    return table


def reasons(drivers: Sequence[Mapping[str, Any]]) -> list[str]:
    """What holds the score down, in words: a rule, then the weakest measures, the worst first.

    Among equally bad measures the plainest comes first.
    """
    plain = list(WORDS)

    def rank(driver: Mapping[str, Any]) -> tuple[int, int]:
        measure = driver["measure"]
        place = plain.index(measure) if measure in plain else len(plain)
        return driver["score"] // SCORE_STEP, place

    weak = [one for one in drivers if one["score"] is not None and one["score"] < WEAK_SCORE]
    rules = [one for one in drivers if one.get("reason") and one["contribution"] < 0]
    worst = [*rules, *sorted(weak, key=rank)][:REASONS_MAX]
    return [one.get("reason") or reason(one["measure"], one["value"]) for one in worst]


def reason(measure: str, value: float | None) -> str:
    """What a measure says, in words."""
    plain = measure.replace("_", " ")
    if value is None:
        return f"{plain} is not known any more"
    words = WORDS.get(measure)
    return words.format(value) if words else f"{plain} {value:g}"


def alerts(raised: Sequence[Mapping[str, Any]], width: int = WIDE_COLUMNS) -> Table:
    """Alerts, in the order given, for so many columns."""
    is_wide = width >= WIDE_COLUMNS
    still = sum(1 for alert in raised if not alert["resolved_at"])
    title = f"{len(raised)} alerts raised, {still} still open"
    table = Table(title=title, title_style="bold", expand=True)
    table.add_column("alert", ratio=1)
    for name in ("opened", "resolved") if is_wide else ("opened\nresolved",):
        table.add_column(name, no_wrap=True)
    table.add_column("first reason", ratio=1, min_width=WHY_COLUMNS_MIN)
    table.add_column("told", no_wrap=True)
    for alert in raised:
        first = alert["reasons"][0]["text"] if alert["reasons"] else ""
        days = [str(alert["opened_at"])[:10], str(alert["resolved_at"] or "still open")[:10]]
        table.add_row(
            Text(alert["title"], STYLES.get(alert["severity"] or "", "")),
            *(days if is_wide else ["\n".join(days)]),
            first,
            person(alert["owner"]),
        )
    return table


def _points(score: float | None) -> str:
    return "" if score is None else f"{score:.0f}"


def _money(profile: Mapping[str, Any]) -> str:
    amount = str(profile.get("mrr", ""))
    return f"{float(amount):,.0f} {profile.get('currency', '')}" if amount else ""


def person(address: str) -> str:
    """The name in an address."""
    return address.partition("@")[0]
