"""A stream is read from a server that ends it, loses it, and comes back."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from gateway_core.cli import event_stream
from gateway_core.cli.control_client import AdminClient
from gateway_core.cli.event_stream import EventStream
from gateway_core.errors import GatewayError

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
HELLO = b'id: e-0\nevent: hello\ndata: {"types":[]}\n\n'
ONE = b'id: e-1\nevent: change\ndata: {"n":1}\n\n'
TWO = b'id: e-2\nevent: change\ndata: {"n":2}\n\n'
END = b'event: end\ndata: {"reason":"stopping"}\n\n'


class Server:
    """Gives each connection the next response."""

    def __init__(self, *responses: bytes) -> None:
        self.heads: list[str] = []
        self._responses = responses
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @property
    def client(self) -> AdminClient:
        return AdminClient(("127.0.0.1", self._socket.getsockname()[1]))

    def _run(self) -> None:
        for response in self._responses:
            connection, _ = self._socket.accept()
            with connection:
                self.heads.append(connection.recv(10_000).decode())
                connection.sendall(response)
        self._socket.close()

    def close(self) -> None:
        self._thread.join(10)


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_stream, "_PAUSE", 0.01)


@pytest.fixture
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    server = Server(*request.param)
    yield server
    server.close()


def names(stream: EventStream) -> list[str]:
    return [f"{event.name} {event.data.get('n', event.data.get('reason', ''))}".strip() for event in stream]


@pytest.mark.parametrize("server", [[HEAD + HELLO + ONE + b": heartbeat\nid: e-7\n\n" + END]], indirect=True)
def test_events_come_until_the_end(server: Server) -> None:
    stream = EventStream(lambda: server.client, {"types": "change"}, ends_at_stop=True)

    assert names(stream) == ["hello", "change 1", "end stopping"]
    assert stream.last_id == "e-7"
    assert server.heads[0].startswith("GET /api/v1/events?types=change ")
    assert "Last-Event-ID" not in server.heads[0]


RESTARTING = END.replace(b"stopping", b"restarting")
REVOKED = END.replace(b"stopping", b"token-revoked")


@pytest.mark.parametrize(
    "server",
    [
        [HEAD + HELLO + ONE + TWO[:20], HEAD + HELLO + TWO + REVOKED],
        [HEAD + HELLO + ONE + RESTARTING, b"", HEAD + HELLO + TWO + REVOKED],
        [HEAD + HELLO + ONE + END, b"", HEAD + HELLO + TWO + REVOKED],
        [HEAD + HELLO + ONE, b"HTTP/1.1 503 No\r\nContent-Length: 2\r\n\r\n{}", HEAD + HELLO + TWO + REVOKED],
    ],
    indirect=True,
)
def test_a_stream_that_is_lost_goes_on_where_it_was(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    found = names(EventStream(lambda: server.client, {}))

    assert found == ["hello", "change 1", "hello", "change 2", "end token-revoked"]
    assert "Last-Event-ID: e-1" in server.heads[-1]
    assert capsys.readouterr().err.count("connecting again") == 1


@pytest.mark.parametrize("server", [[HEAD + HELLO]], indirect=True)
def test_a_gateway_that_does_not_come_back_is_gone(server: Server) -> None:
    with pytest.raises(GatewayError, match="is gone, and did not come back"):
        names(EventStream(lambda: server.client, {}, patience=0.05))


REFUSAL = b'HTTP/1.1 403 Forbidden\r\nContent-Length: 31\r\n\r\n{"detail":"may not watch them"}'


@pytest.mark.parametrize("server", [[REFUSAL]], indirect=True)
def test_a_refusal_is_no_reason_to_come_back(server: Server) -> None:
    with pytest.raises(GatewayError, match="may not watch them"):
        names(EventStream(lambda: server.client, {}))


def test_no_gateway_at_the_beginning_is_an_error_at_once(tmp_path: Path) -> None:
    with pytest.raises(GatewayError, match="No such file"):
        names(EventStream(lambda: AdminClient(tmp_path / "none.sock"), {}))
