"""How long connecting may take on a loop that stands still."""

from __future__ import annotations

import asyncio
import time

import pytest
from gateway_core.config import UpstreamConfig
from gateway_core.proxy.upstream.http2_pool import Http2Pool
from gateway_core.proxy.upstream.response_handler import Failure
from gateway_core.upstreams.transport import TransportSettings

from tests.core.proxy.upstream.conftest import StartServer
from tests.core.proxy.upstream.kit import OK, connect, make_pool, make_sweeper, silent_port

pytestmark = pytest.mark.one_protocol(reason="both pools are made here")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_a_pause_of_the_process_does_not_end_the_wait_for_a_connection(
    start_server: StartServer, host: str
) -> None:
    pool = make_pool(await start_server(OK), host=host)

    pause_next_turn(0.5)

    assert (await connect(pool, seconds=0.2)).failure is Failure.NONE


async def test_a_pause_does_not_end_the_wait_for_a_connection_that_requests_share(start_server: StartServer) -> None:
    settings = UpstreamConfig.model_validate(
        {"name": "u", "protocol": "http2", "endpoints": [{"url": "http://127.0.0.1"}]}
    )
    loop, port = asyncio.get_running_loop(), await start_server(OK)
    pool = Http2Pool(loop, "127.0.0.1", port, TransportSettings.of(settings), sweeper=make_sweeper())

    pause_next_turn(0.5)

    assert (await connect(pool, seconds=0.2)).failure is Failure.NONE


async def test_a_pause_extends_the_wait_once() -> None:
    with silent_port() as port:
        pool = make_pool(port)

        pause_next_turn(0.5)

        assert (await connect(pool, seconds=0.2)).failure is Failure.CONNECT_TIMEOUT


def pause_next_turn(seconds: float) -> None:
    """Have the loop stand still once what is begun until then is under way."""
    loop = asyncio.get_running_loop()
    loop.call_soon(loop.call_soon, time.sleep, seconds)
