"""How long the connection that requests share is waited for."""

from __future__ import annotations

import asyncio

from gateway_core.config import UpstreamConfig
from gateway_core.proxy.http2.sender import MOST_UNSENT
from gateway_core.proxy.upstream.http2_pool import Http2Pool
from gateway_core.proxy.upstream.response_handler import Failure
from gateway_core.upstreams.transport import TransportSettings

from tests.core.proxy.kit import until
from tests.core.proxy.upstream.kit import connect, make_sweeper, silent_port


async def test_an_endpoint_that_does_not_respond_is_asked_again_when_the_requests_have_given_up() -> None:
    settings = UpstreamConfig.model_validate({"name": "u", "endpoints": [{"url": "http://127.0.0.1"}]})
    with silent_port() as port:
        pool = Http2Pool(
            asyncio.get_running_loop(), "127.0.0.1", port, TransportSettings.of(settings), sweeper=make_sweeper()
        )

        results = await asyncio.gather(connect(pool, seconds=0.2), connect(pool, seconds=0.4))

        assert [each.failure for each in results] == [Failure.CONNECT_TIMEOUT] * 2
        await until(lambda: not pool._tasks)  # the kernel alone would go on for two minutes


async def test_a_connection_hands_the_system_as_much_as_its_sender_allows() -> None:
    settings = UpstreamConfig.model_validate(
        {"name": "u", "protocol": "http2", "endpoints": [{"url": "http://127.0.0.1"}]}
    )
    server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0)
    async with server:
        pool = Http2Pool(
            asyncio.get_running_loop(), "127.0.0.1", server.sockets[0].getsockname()[1],
            TransportSettings.of(settings), sweeper=make_sweeper(),
        )  # fmt: skip

        result = await connect(pool)

        (connection,) = pool._connections
        assert result.failure is Failure.NONE
        assert connection.transport.get_write_buffer_limits() == (MOST_UNSENT // 4, MOST_UNSENT - 1)
        connection.abort()
        await until(lambda: not pool._connections)


async def test_a_connection_that_is_too_old_takes_no_further_request_even_before_it_is_closed() -> None:
    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    settings = UpstreamConfig.model_validate(
        {
            "name": "u",
            "protocol": "http2",
            "endpoints": [{"url": "http://127.0.0.1"}],
            "keepalive": {"max_age": "10s"},
        }
    )
    server = await asyncio.start_server(listen, "127.0.0.1", 0)
    sweeper = make_sweeper()
    async with server:
        pool = Http2Pool(
            asyncio.get_running_loop(), "127.0.0.1", server.sockets[0].getsockname()[1],
            TransportSettings.of(settings), sweeper=sweeper,
        )  # fmt: skip
        await connect(pool)
        (connection,) = pool._connections
        sweeper.time = 9.9
        assert pool.take() is not None
        assert pool.deadline == 10.0

        sweeper.time = 10.0

        assert pool.take() is None
        connection.abort()
        await until(lambda: not pool._connections)
