"""The wire contract: what stands in the topics, as types. The only place that names it. Pure."""

import hmac
from collections.abc import Mapping
from typing import Any, Literal

import msgspec

USAGE_EVENTS = "usage.events"
USAGE_ACCEPTED = "usage.accepted"
USAGE_REJECTED = "usage.rejected"
HEALTH_CHANGES = "health.changes"
ENGAGEMENT_CHANGES = "engagement.changes"

LOG = "myaku.log"
TICK = "myaku.tick"
CONFIG = "myaku.config"
BARRIER = "myaku.barrier"
BACKFILLED = "myaku.backfilled"
RESERVED_PREFIX = "myaku."
SIGNATURE_HEADER = "myaku-signature"
REPLAYED_HEADER = "myaku-replayed-from"
"""Of a record that was refused and is sent again: where it stands among what was refused."""

SOURCES_MAX = 1_000
"""A tick names so many sources at most: whoever writes a source per event means something else."""

ACT_CHARACTERS_MAX = 500
"""So long are the author's name and the reason of what a person does to an account."""

Mode = Literal["history", "live"]


class Marker(msgspec.Struct, frozen=True, tag_field="type", tag=LOG):
    """The first record of every partition: which log this is, of how many partitions."""

    id: str
    partitions: int


class Tick(msgspec.Struct, frozen=True, tag_field="type", tag=TICK):
    """Time has come to `time` for everything that `source_partition` held before."""

    source_partition: int
    source_partitions: int
    time: str
    mode: Mode
    sources: dict[str, str] = {}
    """The newest event time of each source, of the events accepted from the source partition."""
    rejected: dict[str, int] = {}
    """How many events of each source were refused since the last tick that told of them."""


class Config(msgspec.Struct, frozen=True, tag_field="type", tag=CONFIG):
    """A whole configuration; `revision` is that of the whole document.

    `sequence` counts, from 1, the configurations that took effect in the partition. Scoring sets it
    when it passes one on; 0 is as published.
    """

    revision: str
    document: dict[str, Any]
    sequence: int = 0


class Barrier(msgspec.Struct, frozen=True, tag_field="type", tag=BARRIER):
    """Passed on by every service: whoever sees it at the end knows that all before it is done."""

    id: str


class Backfilled(msgspec.Struct, frozen=True, tag_field="type", tag=BACKFILLED):
    """The kept log was read for new signals; what it says waits in the database, under the id."""

    id: str


class Erasure(msgspec.Struct, frozen=True, tag_field="type", tag="user.erased"):
    """A person is erased: nothing dated up to `time` may name the user any more."""

    user_id: str
    time: str


Control = Marker | Tick | Config | Barrier | Backfilled | Erasure


def control_key(record: Control) -> bytes:
    """The key of a record of our own: its type, which begins with `myaku.` or is made to."""
    name = str(record.__struct_config__.tag)
    return (name if name.startswith(RESERVED_PREFIX) else RESERVED_PREFIX + name).encode()


class Previous(msgspec.Struct, frozen=True, gc=False):
    """What the account's last published health said."""

    score: float | None
    band: str | None
    as_of: str


class ScorecardName(msgspec.Struct, frozen=True, gc=False):
    """Which scorecard, of which revision of the scoring configuration."""

    id: str
    revision: str


class DimensionHealth(msgspec.Struct, frozen=True, gc=False):
    """A dimension's score 0–100, its effective weight 0–1 and its part of the score in points."""

    id: str
    score: float | None
    weight: float
    contribution: float


class Cause(msgspec.Struct, frozen=True, gc=False):
    """One part of a change, in points."""

    cause: str
    change: float


class Driver(msgspec.Struct, frozen=True, gc=False):
    """A measure's value, its score 0–100, its part of the score and how that changed, in points.

    `weight` is its effective weight 0–1, after what is not known has been shared out. A gate is a
    driver too, and so are a rule that applies and an override, which have a `reason`.
    """

    measure: str
    value: float | None
    score: float | None
    weight: float
    contribution: float
    change: float
    cause: str
    causes: list[Cause] = []
    reason: str | None = None


class OverrideHealth(msgspec.Struct, frozen=True, gc=False):
    """A score that a person set instead of the computed one, until `expires_at`."""

    score: float
    author: str
    reason: str
    expires_at: str


class AccountSignal(msgspec.Struct, frozen=True):
    """Something that happened at an account and that no number carries; told once, by its id."""

    id: str
    kind: str
    user_id: str | None
    subject: str | None
    time: str
    data: dict[str, Any] = {}


class MatrixCell(msgspec.Struct, frozen=True):
    """Where an account stands in the utilisation matrix, and what is suggested."""

    x: int | None
    y: int | None
    stage: str | None
    action: str | None


class MilestoneHealth(msgspec.Struct, frozen=True):
    """A milestone of the onboarding: its sub-score 0–100, null while it counts for nothing."""

    id: str
    status: str
    score: float | None
    due_on: str
    done_on: str | None


class OnboardingHealth(msgspec.Struct, frozen=True):
    """How the onboarding goes; its score is the mean of the milestones' scores."""

    status: str
    started_on: str
    score: float | None
    milestones: list[MilestoneHealth]


class Crossing(msgspec.Struct, frozen=True, gc=False, rename={"condition": "if"}):
    """The day at whose close the account will be in a lower band, if it stays silent."""

    band: str
    on: str
    condition: Literal["silent"] = "silent"


class Health(msgspec.Struct, frozen=True, gc=False):
    """An account's health as published in `health.changes`. Σ contribution = score."""

    account_id: str
    as_of: str
    sequence: int
    score: float | None
    band: str | None
    coverage: float
    mode: Mode
    previous: Previous | None
    change_7d: float | None
    change_28d: float | None
    scorecard: ScorecardName
    dimensions: list[DimensionHealth]
    drivers: list[Driver]
    profile: dict[str, Any]
    silence_risk: float | None = None
    stale: bool = False
    override: OverrideHealth | None = None
    signals: list[AccountSignal] = []
    crosses: Crossing | None = None
    engagement: Mapping[str, int] = {}
    matrix: MatrixCell | None = None
    onboarding: OnboardingHealth | None = None
    computed_score: float | None = None
    building_history: bool = False


class RankChange(msgspec.Struct, frozen=True):
    """A user's rank in an account as it is now, in `engagement.changes`.

    `rank` is None for who was not seen in the horizon, and has none any more; `previous` for a
    first rank.
    """

    account_id: str
    user_id: str
    rank: str | None
    previous: str | None
    score: float
    as_of: str


encode = msgspec.json.Encoder().encode
decode_control = msgspec.json.Decoder(Control).decode
decode_health = msgspec.json.Decoder(Health).decode


def sign(value: bytes, secret_key: str) -> bytes:
    """What lets a `myaku.` record into `usage.events`: hex HMAC-SHA256 of its bytes."""
    return hmac.new(secret_key.encode(), value, "sha256").hexdigest().encode()


def is_signed(value: bytes, signature: bytes | None, secret_key: str) -> bool:
    """Whether `signature` is ours; compared in constant time."""
    return signature is not None and hmac.compare_digest(signature, sign(value, secret_key))
