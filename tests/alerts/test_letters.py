"""What a letter says, whatever an account or a person is called."""

from base64 import b64encode
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.alerts.decide import Act, act
from tests.alerts.letters import heads, letter_of, written
from tests.alerts.mailbox import parts
from tests.alerts.world import AT_ONCE, World


class Seen(HTMLParser):
    """The text that a reader sees, and the tags."""

    def __init__(self) -> None:
        super().__init__()
        self.text = ""
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.add(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


def test_nor_does_who_acts_on_an_alert() -> None:
    world = World(AT_ONCE)
    world.score(0, 55)
    taken = Act("acknowledge", "ana\r\nBcc: evil@example.com")
    effects = act(world.state, ("acme", "churn_risk", ""), taken, deliver_history=False)
    [note] = effects.notifications
    letter = written(note, "Ana")
    assert letter["Subject"] == "Acme at 55: ana Bcc: evil@example.com has taken it on"


@pytest.mark.parametrize(
    ("name", "subject"),
    [
        ("脈株式会社 🫀", "脈株式会社 🫀 at 55: warning"),
        ('<b>Bold</b> & "Söhne" <script>x</script>', None),
        ("Acme\r\nBcc: evil@example.com\r\n\r\nhello", None),
        ("a" * 2000, "a" * 79 + "… at 55: warning"),
        ("\u202egnp.exe\x00\x1b[31m", "gnp.exe [31m at 55: warning"),
        ("  \t ", "acme at 55: warning"),
        ("=?utf-8?q?a=0D=0ABcc:_evil@example.com=0D=0AX-Injected:_1?=", None),
        ("=?utf-8?b?YQ0KQmNjOiBldmlsQGV4YW1wbGUuY29t?=", None),
        ("=?utf-8?q?a=0D=0A=0D=0Abody?=", None),
    ],
)
def test_any_name_arrives_as_it_is_and_breaks_nothing(name: str, subject: str | None) -> None:
    letter = letter_of(name)
    raw = bytes(letter)
    assert heads(raw) == heads(bytes(letter_of("Acme")))
    if subject is not None:
        assert letter["Subject"] == subject
    seen = Seen()
    _, html = parts(letter)
    seen.feed(html)
    assert seen.tags <= {"html", "body", "p", "ul", "li", "a"}
    shown = seen.text.replace("\n", " ").replace("= ?", "=?")
    assert subject is not None or " ".join(name.split())[:70] in shown


@settings(max_examples=200, deadline=None, derandomize=True, database=None)
@given(
    st.one_of(
        st.text(max_size=60),
        st.binary(max_size=40).map(lambda raw: f"=?utf-8?b?{b64encode(raw).decode()}?="),
        st.text("=?utf8qb0DA:_ \r\n", max_size=60),
    )
)
def test_no_name_makes_a_header(name: str) -> None:
    letter = letter_of(name)
    assert heads(bytes(letter)) == heads(bytes(letter_of("Acme")))
    assert "\n" not in str(letter["Subject"])


def test_a_body_of_before_there_were_links_is_written() -> None:
    [note] = World(AT_ONCE).score(0, 55).notifications
    body = msgspec.json.decode(note.body)
    del body["data"]["change"]["link"]
    assert written(replace(note, body=msgspec.json.encode(body)), "Ana")["Subject"]
