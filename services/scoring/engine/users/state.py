"""What a partition keeps of its users; all arrays are [user] and have room to grow."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from services.scoring.engine.by_owner import ByOwner
from services.scoring.engine.table import HashArray, HashTable, IntArray
from services.scoring.engine.users.names import Names, resized, roomy
from shared.configuration import RANKS

NO_RANK = -1
LOWEST = len(RANKS) - 1
NOT_WATCHED = 0
COLUMNS = ("owners", "last_days", "ranks", "settling", "look", "watches")


@dataclass
class UserDays:
    """One bit per (user, day): the days on which a user had an event of a signal."""

    signal_no: int
    since_day: int
    low: HashArray = field(default_factory=lambda: np.zeros(16, np.uint64))
    """[user], bits of the days whose number modulo 128 is below 64."""
    high: HashArray = field(default_factory=lambda: np.zeros(16, np.uint64))  # the others
    counts: dict[int, IntArray] = field(default_factory=dict)
    """window → [account], users with a bit inside it"""

    def make_room(self, users: int) -> None:
        """Let the words hold so many users."""
        if len(self.low) < users:
            self.low, self.high = resized(self.low, users), resized(self.high, users)


@dataclass
class Users:
    """Who was seen in which account: 28 bytes and the text of the id, beside the days."""

    table: HashTable = field(default_factory=HashTable)  # by the hash of account and id
    names: Names = field(default_factory=Names)
    owners: NDArray[np.int32] = field(default_factory=lambda: np.zeros(16, np.int32))
    last_days: NDArray[np.int32] = field(default_factory=lambda: np.zeros(16, np.int32))
    ranks: NDArray[np.int8] = field(default_factory=lambda: np.zeros(16, np.int8))
    """Number in RANKS, or NO_RANK."""
    settling: NDArray[np.int8] = field(default_factory=lambda: np.zeros(16, np.int8))
    """The rank that the newest close found, which the next one may confirm."""
    look: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(16, np.bool_))
    """The next close has to look at the user, whatever leaves a window by itself."""
    watches: NDArray[np.int32] = field(default_factory=lambda: np.zeros(16, np.int32))
    """~rank of a key user; once it was told that they are quiet, the day on which that began."""
    look_at_all: bool = True
    ranked: bool = False  # a close has given ranks under the configuration in effect
    counts: NDArray[np.int32] = field(default_factory=lambda: np.zeros((16, len(RANKS)), np.int32))
    """[account, rank]: how many users have it."""
    by_owner: ByOwner = field(default_factory=ByOwner)

    @property
    def count(self) -> int:
        return self.table.count

    def append(self, owners: IntArray, texts: Sequence[bytes], days: Iterable[UserDays]) -> None:
        """Append users, in the order in which the table numbered them."""
        start, end = self.count - len(owners), self.count
        for name in COLUMNS:
            setattr(self, name, roomy(getattr(self, name), end))
        self.owners[start:end] = owners
        self.last_days[start:end] = 0
        self.ranks[start:end] = self.settling[start:end] = NO_RANK
        self.look[start:end] = True
        self.watches[start:end] = NOT_WATCHED
        self.names.append(texts)
        for kept in days:
            kept.make_room(len(self.owners))

    def take(self, kept: IntArray, days: Iterable[UserDays]) -> None:
        """Keep only some of the users, ascending, under new numbers."""
        hashes = self.table.hashes[kept]
        self.table, self.by_owner = HashTable(), ByOwner()
        self.table.add(hashes)
        for name in COLUMNS:
            setattr(self, name, getattr(self, name)[kept])
        self.names = self.names.take(kept)
        for each in days:
            each.low, each.high = each.low[kept], each.high[kept]
