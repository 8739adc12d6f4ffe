"""The engine's door: `advance(state, decode(records, state)) → effects`. Pure: no clock, no IO."""

from services.scoring.engine.advance import advance
from services.scoring.engine.columns import RawRecord
from services.scoring.engine.decode import decode
from services.scoring.engine.effects import Effects
from services.scoring.engine.state import State

__all__ = ["Effects", "RawRecord", "State", "advance", "decode"]
