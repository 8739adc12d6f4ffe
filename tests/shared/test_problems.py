"""What is wrong with a request is said in our words, in the shape of RFC 9457."""

from datetime import date
from typing import Annotated, Any, Literal

import httpx2
import pytest
from fastapi import FastAPI, Query
from pydantic import AwareDatetime, BaseModel, Field, StringConstraints

from shared.problems import WITHOUT_NUL, PageChoice, Text, install


class Asked(PageChoice):
    day: date | None = None
    closed: bool = False
    text: Text = ""
    sort: Literal["up", "down"] = "up"


class Sent(BaseModel, extra="forbid"):
    score: Annotated[float, Field(strict=True, ge=0, allow_inf_nan=False)]
    reason: Annotated[str, StringConstraints(min_length=1, max_length=5, pattern=WITHOUT_NUL)] = (
        "because"
    )
    ends: AwareDatetime | None = None


async def refusal(method: str, path: str, content: bytes | None = None) -> dict[str, Any]:
    app = FastAPI()
    install(app)

    @app.get("/")
    async def read(asked: Annotated[Asked, Query()]) -> None: ...

    @app.post("/")
    async def write(sent: Sent) -> None: ...

    transport = httpx2.ASGITransport(app)
    headers = {"content-type": "application/json"}
    async with httpx2.AsyncClient(transport=transport, base_url="http://here") as client:
        answer = await client.request(method, path, content=content, headers=headers)
    assert answer.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = answer.json()
    assert body["status"] == answer.status_code
    assert body["detail"] == body["message"]
    return body


NO_TIME = "ends is a time with its zone, as 2026-01-31T00:00:00Z."


@pytest.mark.parametrize(
    ("method", "path", "content", "said"),
    [
        ("GET", "/?limit=0", None, "limit is at least 1."),
        ("GET", "/?limit=501", None, "limit is at most 500."),
        ("GET", "/?limit=many", None, "limit is a whole number."),
        ("GET", "/?colour=red", None, "'colour' is not known here."),
        ("GET", "/?sort=by", None, "sort is one of: 'up' or 'down'."),
        ("GET", "/?text=%00", None, "text may hold no NUL."),
        ("GET", "/?day=2026-02-30", None, "day is a day, as 2026-01-31."),
        ("GET", "/?closed=perhaps", None, "closed is true or false."),
        ("POST", "/", b"", "The body is needed."),
        ("POST", "/", b"{}", "score is needed."),
        ("POST", "/", b'{"score": "1"}', "score is a number."),
        ("POST", "/", b'{"score": NaN}', "score is a number."),
        ("POST", "/", b'{"score": -1}', "score is at least 0."),
        ("POST", "/", b'{"score": 1, "reason": 2}', "reason is a text."),
        ("POST", "/", b'{"score": 1, "reason": ""}', "reason has 1 or more characters."),
        ("POST", "/", b'{"score": 1, "reason": "123456"}', "reason has at most 5 characters."),
        ("POST", "/", b'{"score": 1, "ends": "soon"}', NO_TIME),
        ("POST", "/", b'{"score": 1, "ends": "2026-01-31T00:00:00"}', NO_TIME),
        ("POST", "/", b'{"by": ', "The body is not valid JSON: Expecting value."),
    ],
)
async def test_a_refusal_says_what_was_expected(
    method: str, path: str, content: bytes | None, said: str
) -> None:
    body = await refusal(method, path, content)
    assert (body["status"], body["code"], body["detail"]) == (422, "invalid_request", said)


@pytest.mark.parametrize(("content", "status"), [(b"\xff", 400), (b"[]", 415)])
async def test_a_body_that_is_no_json_object_says_what_to_send(content: bytes, status: int) -> None:
    body = await refusal("POST", "/", content)
    said = "Send a JSON object, with the header content-type: application/json."
    assert (body["status"], body["detail"]) == (status, said)
