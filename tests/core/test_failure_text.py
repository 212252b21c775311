from __future__ import annotations

import asyncio
import errno
import socket
import ssl

import aiohttp
import pytest
from gateway_core.failure_text import failure_text, lost_text, system_reason


async def failure_of(url: str, *, within: float = 5.0) -> BaseException:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(within)) as session:
        with pytest.raises((aiohttp.ClientError, TimeoutError, OSError)) as caught:
            await session.get(url)
    return caught.value


async def test_a_refused_connection_says_where_and_why_and_nothing_of_tls() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        text = failure_text(await failure_of(f"http://127.0.0.1:{port}/"))

    assert text == f"cannot connect to 127.0.0.1:{port}: connection refused"


async def test_a_name_that_does_not_resolve() -> None:
    text = failure_text(await failure_of("http://no-such-name.invalid:80/"))

    assert text.startswith("cannot connect to no-such-name.invalid:80: ")


async def test_silence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        error = await failure_of(f"http://127.0.0.1:{silent.getsockname()[1]}/", within=0.2)

    assert failure_text(TimeoutError()) == "it does not respond in time"
    assert failure_text(error)


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ValueError("is no URL"), "is no URL"),
        (ConnectionResetError(), "ConnectionResetError"),
        (KeyError(), "KeyError"),
    ],
)
def test_other_errors_speak_for_themselves_or_are_named(error: BaseException, text: str) -> None:
    assert failure_text(error) == text


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ConnectionRefusedError(errno.ECONNREFUSED, "Connect call failed ('127.0.0.1', 1)"), "Connection refused"),
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), "Name or service not known"),
        (ssl.SSLError(1, "wrong version number"), "wrong version number"),
        (RuntimeError(), "RuntimeError"),
    ],
)
def test_the_systems_own_words_stand_in_place_of_an_event_loops(error: Exception, text: str) -> None:
    assert system_reason(error) == text


def test_a_connection_that_is_lost_to_a_tls_alert_names_it() -> None:
    alert = ssl.SSLError(1, "[SSL: TLSV13_ALERT_CERTIFICATE_REQUIRED]")
    alert.reason = "TLSV13_ALERT_CERTIFICATE_REQUIRED"

    assert lost_text(alert, "before") == "it ended TLS before its response: tlsv13 alert certificate required"
    assert lost_text(None, "within") == "it closed the connection within its response"
    assert lost_text(ConnectionResetError(), "before") == "it closed the connection before its response"


async def _handshake_with(respond: bytes) -> Exception:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(respond)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    with pytest.raises(OSError) as caught:  # noqa: PT011 - whatever it is, its text is what is looked at
        await asyncio.open_connection("127.0.0.1", port, ssl=ssl.create_default_context())
    server.close()
    return caught.value


async def test_an_endpoint_without_tls_is_named() -> None:
    error = await _handshake_with(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    assert system_reason(error).startswith("what it sends is not TLS (")


async def test_a_tls_alert_is_named_without_openssls_places() -> None:
    error = await _handshake_with(bytes.fromhex("15030300020228"))

    assert system_reason(error).startswith("TLS failed: ")
    assert "[SSL" not in system_reason(error)


def test_a_certificate_that_is_not_trusted_is_named() -> None:
    error = ssl.SSLCertVerificationError(1, "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed (_ssl.c:1006)")
    error.verify_message = "certificate has expired"

    assert system_reason(error) == "its certificate is not trusted: certificate has expired"
