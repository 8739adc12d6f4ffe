"""What becomes of a record of `usage.events`. Pure: no clock, no IO."""

from services.ingest.accept.control import CONTROL_KEY, SigningRules
from services.ingest.accept.decide import Known, Outcome, Parked, Rejected, decide, settle
from services.ingest.accept.erasure import Erased
from services.ingest.accept.reading import Reading, SourceRecord, read, users
from services.ingest.accept.request import EVENTS_MAX, Item, TooMany, examine_body
from shared.native.event import Event, examine
from shared.native.membership import Membership, Memberships
from shared.native.refusal import Refused

__all__ = [
    "CONTROL_KEY",
    "EVENTS_MAX",
    "Erased",
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
