"""What becomes of a record of `usage.events`. Pure: no clock, no IO."""

from services.ingest.accept.control import CONTROL_KEY, SigningRules
from services.ingest.accept.decide import Known, Outcome, Parked, Rejected, decide, settle
from services.ingest.accept.event import Event, examine
from services.ingest.accept.membership import Membership, Memberships
from services.ingest.accept.reading import Reading, SourceRecord, read, users
from services.ingest.accept.refusal import Refused
from services.ingest.accept.request import EVENTS_MAX, Item, TooMany, examine_body

__all__ = [
    "CONTROL_KEY",
    "EVENTS_MAX",
    "Event",
    "Item",
    "Known",
    "Membership",
    "Memberships",
    "Outcome",
    "Parked",
    "Reading",
    "Refused",
    "Rejected",
    "SigningRules",
    "SourceRecord",
    "TooMany",
    "decide",
    "examine",
    "examine_body",
    "read",
    "settle",
    "users",
]
