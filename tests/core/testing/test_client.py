from __future__ import annotations

import pytest
from gateway_core.messages import Headers
from gateway_core.testing import Client, ScriptedUpstream
from gateway_core.testing.client import pairs_of


def test_given_framing_fields_are_left_alone(target: ScriptedUpstream) -> None:
    client = Client("127.0.0.1", target.port)

    client.request("POST", "/", headers={"Host": "example.com", "Content-Length": "2"}, body=b"ab")

    assert target.last.headers.get_all("content-length") == ["2"]
    assert target.last.headers.get_all("host") == ["example.com"]


def test_raw_says_so_when_the_connection_stays_open(target: ScriptedUpstream) -> None:
    with pytest.raises(TimeoutError, match=r"ask for 'Connection: close'; received so far: b'HTTP/1\.1 200 OK"):
        Client("127.0.0.1", target.port).raw(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", timeout=0.2)


@pytest.mark.parametrize("fields", [{"a": "1"}, [("a", "1")], Headers({"a": "1"})])
def test_fields_come_in_any_of_the_usual_shapes(fields: dict[str, str] | list[tuple[str, str]] | Headers) -> None:
    assert pairs_of(fields) == [("a", "1")]
