"""What the database itself remembers of every claim and every commit, in this test only."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

AUDIT = """
CREATE SCHEMA audit;
CREATE TABLE audit.fence (
    number bigserial PRIMARY KEY, room text, partition int,
    old_epoch bigint, old_next bigint, epoch bigint, next bigint, owner text
);
CREATE FUNCTION audit.keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO audit.fence (room, partition, old_epoch, old_next, epoch, next, owner) VALUES (
        TG_TABLE_SCHEMA, NEW.partition, OLD.epoch, OLD.next, NEW.epoch, NEW.next, NEW.owner);
    RETURN NULL;
END $$;
CREATE TRIGGER audit AFTER INSERT OR UPDATE OF epoch, next, owner ON scoring.partition
    FOR EACH ROW EXECUTE FUNCTION audit.keep();
CREATE TRIGGER audit AFTER INSERT OR UPDATE OF epoch, next, owner ON alerts.partition
    FOR EACH ROW EXECUTE FUNCTION audit.keep();
"""
KEPT = (
    "SELECT room, partition, old_epoch, old_next, epoch, next, owner"
    " FROM audit.fence ORDER BY number"
)


def broken_links(rows: Iterable[tuple[Any, ...]]) -> list[str]:
    """Where a partition's commits are no chain: a gap, a fork, a step back, two of one epoch."""
    found = []
    stands: dict[tuple[str, int], tuple[int, int]] = {}
    owners: dict[tuple[str, int, int], set[str]] = defaultdict(set)
    for room, partition, *before, epoch, next_offset, owner in rows:
        place = (room, partition)
        old_epoch, old_next = before
        owners[room, partition, epoch].add(owner)
        if stands.get(place, (None, None)) != (old_epoch, old_next):
            found.append(f"{place}: from {before}, where {stands.get(place)} stood")
        if old_epoch is not None and (epoch, next_offset) < (old_epoch, old_next):
            found.append(f"{place}: back from {before} to {(epoch, next_offset)}")
        if old_epoch is not None and epoch not in (old_epoch, old_epoch + 1):
            found.append(f"{place}: epoch {epoch} after {old_epoch}")
        if epoch != old_epoch and old_next is not None and next_offset != old_next:
            found.append(f"{place}: a claim moved the offset from {old_next} to {next_offset}")
        stands[place] = (epoch, next_offset)
    found += [f"{place} is owned by {names}" for place, names in owners.items() if len(names) > 1]
    return found
