"""What a backfill did, and how that is said."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Outcome:
    """What a backfill did."""

    partitions: int
    metrics: frozenset[str]
    whole: bool  # the log was kept from the deployment's beginning
    pending: bool  # a configuration waits for its tick, in some partition
    taken_in: bool


def said(outcome: Outcome) -> list[str]:
    """What came of it, in sentences."""
    lines = []
    if outcome.pending:
        lines.append(
            "A configuration is still to take effect, at the next tick: run this again after it."
        )
    if not outcome.partitions:
        return [*lines, "Nothing waits for the kept log: all metrics have what it says."]
    names = ", ".join(sorted(outcome.metrics)) or "what ranks users"
    since = "from the beginning" if outcome.whole else "from the first day of the kept log"
    lines.append(
        f"The log of {outcome.partitions} partitions was read for {names}: known {since} on."
    )
    if not outcome.taken_in:
        lines.append("Scoring has not taken all of it in yet: it does as soon as it comes to it.")
    return lines
