"""What left the horizon leaves memory too, and changes no score."""

from services.scoring.engine import State
from services.scoring.engine.state import DaySets
from services.scoring.engine.users.days import forget_users
from services.scoring.engine.windows import forget_things
from tests.scoring.documents import document
from tests.scoring.histories import DAY, START, Record, config, event, tick
from tests.scoring.twins import Engine

USERS = 40
METRICS = {
    "users_28d": {"users": "report.run", "window": "28d"},
    "features_120d": {"distinct": "feature", "of": "report.run", "window": "120d"},
}


def settings() -> Record:
    """Scores from day sets alone."""
    measures = {name: {"weight": 1, "curve": [[0, 0], [50, 100]]} for name in METRICS}
    card = {"id": "all", "dimensions": {"use": {"weight": 1, "measures": measures}}}
    return config(document(METRICS, card))


def generation(first_day: int) -> list[Record]:
    """Users who come on a few days, each with a feature of its own, and the closes after them."""
    at = START + first_day * DAY
    uses = [
        event("acme", at + user, id=f"{first_day}-{user}", user_id=f"u-{first_day}-{user}",
              properties={"feature": f"f-{first_day}-{user}"})
        for user in range(USERS)
    ]  # fmt: skip
    return [*uses, *(tick(at + day * DAY) for day in range(1, 131))]


def things(engine: Engine) -> int:
    """How many users, and things in all sets, there are."""
    kept = [kept.things.count for kept in engine.state.signals if isinstance(kept, DaySets)]
    return engine.state.users.count + sum(kept)


def test_things_of_the_past_are_forgotten_and_change_nothing() -> None:
    forgetful, other = Engine(State(0, hash_seed=7)), Engine(State(0, hash_seed=7))
    for batch in ([settings(), tick(START)], *(generation(130 * number) for number in range(3))):
        for engine in (forgetful, other):
            engine.read_batch(batch)
        forget_things(forgetful.state, least=1)
        forget_users(forgetful.state, least=1)
    assert forgetful.said() == other.said()
    assert things(other) == 3 * 2 * USERS
    assert things(forgetful) == 0
    for engine in (forgetful, other):
        engine.read_batch(
            [event("acme", START + 391 * DAY, user_id="u-0-0"), tick(START + 392 * DAY)]
        )
    assert forgetful.said() == other.said()


def test_what_is_still_in_use_stays() -> None:
    engine = Engine(State(0, hash_seed=7))
    engine.read_batch([settings(), tick(START), *generation(0)[:USERS], tick(START + DAY)])
    before = things(engine)
    forget_things(engine.state, least=1)
    forget_users(engine.state, least=1)
    assert things(engine) == before == 2 * USERS
