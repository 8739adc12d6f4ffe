"""The ledger: what the simulated product sent, and what Myaku counted of it."""

from collections import Counter

from rich.console import Group
from rich.table import Table
from rich.text import Text

from services.standalone.demo.traffic import HTTP, KAFKA


def ledger(history: int, sent: Counter[str], counted: int) -> Group:
    """Both sides, and whether they are equal."""
    table = Table(
        title="What was sent, and what was counted", title_style="bold", show_header=False
    )
    table.add_column()
    table.add_column("events", justify="right")
    table.add_row("sent as history", f"{history:,}")
    table.add_row("sent live over HTTP", f"{sent[HTTP]:,}")
    table.add_row("sent live through Kafka", f"{sent[KAFKA]:,}")
    total = history + sent.total()
    table.add_row("sent in all", f"{total:,}")
    table.add_row("counted by scoring", f"{counted:,}")
    return Group(table, verdict(total, counted))


def verdict(sent: int, counted: int) -> Text:
    """Whether what was counted is what was sent."""
    if sent == counted:
        return Text("Equal: every event was counted, and none twice.", "green")
    return Text(f"Not equal: {abs(sent - counted):,} differ. That is a fault of Myaku.", "bold red")
