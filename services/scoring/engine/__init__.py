"""The engine's door: `advance(state, records) → effects`. Pure: no clock, no IO."""

from services.scoring.engine.advance import RawRecord, advance
from services.scoring.engine.effects import Effects
from services.scoring.engine.state import State

__all__ = ["Effects", "RawRecord", "State", "advance"]
