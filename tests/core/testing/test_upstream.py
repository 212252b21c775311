from __future__ import annotations

import asyncio
import http.client

import pytest
from gateway_core.testing import Client, ReceivedRequest, ScriptedUpstream, UpstreamAnswer


def ask(upstream: ScriptedUpstream) -> Client:
    return Client("127.0.0.1", upstream.port)


def test_it_answers_as_told_and_keeps_duplicates_of_fields(target: ScriptedUpstream) -> None:
    target.answer_with(201, "made", [("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")])

    answer = ask(target).request("GET", "/p?q", headers=[("X-A", "1"), ("x-a", "2")])

    assert (answer.status, answer.reason, answer.text) == (201, "Created", "made")
    assert answer.headers.get_all("set-cookie") == ["a=1", "b=2"]
    assert target.last.headers.get_all("x-a") == ["1", "2"]
    assert (target.last.path, target.last.query) == ("/p", "q")


def test_queued_answers_come_first_and_once(target: ScriptedUpstream) -> None:
    target.answer_with(200)
    target.answer_next(503)
    target.answer_next(json={"n": 2})

    answers = [ask(target).request("GET", "/") for _ in range(3)]

    assert [answer.status for answer in answers] == [503, 200, 200]
    assert answers[1].json() == {"n": 2}


def test_a_script_sees_the_request(target: ScriptedUpstream) -> None:
    async def script(request: ReceivedRequest) -> UpstreamAnswer:
        await asyncio.sleep(0)
        return UpstreamAnswer(body=[request.method.encode(), b"!"])

    target.answer_by(script)

    answer = ask(target).request("PUT", "/", body=b"x")

    assert answer.body == b"PUT!"
    assert answer.headers["transfer-encoding"] == "chunked"


def test_it_can_reset_and_talk_nonsense(target: ScriptedUpstream) -> None:
    target.answer_next(reset=True)
    with pytest.raises(ConnectionResetError):
        ask(target).request("GET", "/")

    target.answer_next(raw=b"HTTP/9 nonsense\r\n\r\n")
    with pytest.raises(http.client.HTTPException):
        ask(target).request("GET", "/")


def test_head_has_a_length_and_no_body(target: ScriptedUpstream) -> None:
    target.answer_with(200, "four")

    answer = ask(target).request("HEAD", "/")

    assert (answer.headers["content-length"], answer.body) == ("4", b"")


def test_clear_forgets_requests_and_queued_answers(target: ScriptedUpstream) -> None:
    ask(target).request("GET", "/")
    target.answer_next(503)

    target.clear()

    assert target.requests == []
    assert ask(target).request("GET", "/").status == 200
    assert len(target.wait_for(1)) == 1


def test_a_delayed_answer_comes(target: ScriptedUpstream) -> None:
    target.answer_next(204, delay=0.01)

    assert ask(target).request("GET", "/").status == 204
