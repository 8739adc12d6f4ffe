"""What is decided on, and what a decision changes. Pure."""

from dataclasses import dataclass, field

from services.alerts.alert import Alert, Event
from services.alerts.notifications import Notification
from services.alerts.records import Rulebook
from services.alerts.rules import Standing
from shared.events import Health, decode_health

Key = tuple[str, str, str]
"""Of a standing: account, rule, subject."""


class Newest:
    """An account's newest health; what comes from the database is decoded when it is needed."""

    def __init__(self, sequence: int, value: bytes, health: Health | None = None) -> None:
        self.sequence = sequence
        self.value = value
        self._health = health

    @property
    def health(self) -> Health:
        """The record."""
        if self._health is None:
            self._health = decode_health(self.value)
        return self._health


@dataclass
class State:
    """A partition, as far as the records at hand touch it."""

    partition: int
    clock_ms: int | None = None
    live: bool = False
    """The newest tick was live."""
    tick_ms: int | None = None
    """The time of the newest tick."""
    rulebook: Rulebook | None = None
    accounts: dict[str, Newest] = field(default_factory=dict)
    standings: dict[Key, Standing] = field(default_factory=dict)
    alerts: dict[str, Alert] = field(default_factory=dict)
    """By id; of each standing those of its newest episodes."""


@dataclass
class Effects:
    """What a decision changed in the state, and what is to be kept beside it."""

    accounts: set[str] = field(default_factory=set)
    standings: set[Key] = field(default_factory=set)
    alerts: set[str] = field(default_factory=set)
    """Ids; an alert that is not in the state any more has come to nothing."""
    events: list[Event] = field(default_factory=list)
    notifications: list[Notification] = field(default_factory=list)
    barriers: list[str] = field(default_factory=list)
    configured: bool = False
    handled: int = 0
    repeated: int = 0
    """Health records that had been handled before."""
