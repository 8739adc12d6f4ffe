"""The worked example of docs/scoring.md, by the shipped scorecards: the page's own numbers."""

import re
from pathlib import Path

from tests.scoring.dates import document
from tests.scoring.histories import DAY, START, config, event, tick
from tests.scoring.twins import both

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "scoring.md").read_text()


def test_the_page_says_what_the_engine_says() -> None:
    profile = event("acme", START, "account.updated", properties={"size": "S", "seats": 3})
    used = [
        event("acme", START + day * DAY, id=f"{day}-{n}", user_id=f"u-{n}", properties=shown)
        for day in (0, 7, 14)
        for n, shown in enumerate(({"feature": "board"}, {"feature": "report"}))
    ]
    week_later = START + 21 * DAY
    health = both(
        config(document()), tick(START), profile, *used, tick(week_later), tick(week_later + 1)
    ).health["acme"]

    rows = dict(re.findall(r"^\| (\w+_?\w*) \|.* ([-\d.]+) \|$", PAGE.partition("worked")[2], re.M))
    shown = {driver["measure"]: f"{driver['contribution']:.1f}" for driver in health["drivers"]}
    assert rows
    assert shown == {name: f"{float(part):.1f}" for name, part in rows.items()}
    says = f"The score is {health['score']}, `{health['band']}`."
    assert says in PAGE
    assert f"shown as {health['coverage']}." in PAGE
