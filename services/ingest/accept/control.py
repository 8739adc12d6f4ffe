"""Our own records in `usage.events`: only what our key signed is let in."""

from dataclasses import dataclass

import msgspec

from shared.events import RESERVED_PREFIX, Barrier, Erasure, Tick, decode_control, is_signed
from shared.native.refusal import Refused
from shared.native.time import normal_time

CONTROL_KEY = RESERVED_PREFIX.encode()


@dataclass(frozen=True)
class SigningRules:
    """Which records of our own are let in."""

    secret_key: str
    live: bool
    """Whether time is the wall's: then a history's ticks are not ours to follow."""
    source_partitions: int


def examine_control(
    value: bytes | None, signature: bytes | None, partition: int, rules: SigningRules
) -> Tick | Barrier | Erasure:
    """A barrier or an erasure, or a history's tick under its true partition. Raises Refused."""
    if value is None or not is_signed(value, signature, rules.secret_key):
        raise Refused("bad_type", f"Keys beginning with {RESERVED_PREFIX} need our signature.")
    try:
        record = decode_control(value)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Refused("bad_type", f"The signed record cannot be read: {error}.") from None
    if isinstance(record, Barrier | Erasure):
        return record
    if not isinstance(record, Tick) or record.mode != "history":
        raise Refused("bad_type", "Only barriers, erasures and ticks of a history come this way.")
    if rules.live:
        raise Refused("bad_type", "The deployment is live: it takes no ticks of a history.")
    try:
        time = normal_time(record.time)
    except ValueError as error:
        raise Refused("bad_time", f"The tick's time cannot be read: {error}.") from None
    return Tick(partition, rules.source_partitions, time, "history", record.sources)
