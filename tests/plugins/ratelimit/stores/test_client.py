from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from gateway_plugin_ratelimit.algorithms import FixedWindow
from gateway_plugin_ratelimit.config import RedisConfig
from gateway_plugin_ratelimit.stores.client import RedisClient
from gateway_plugin_ratelimit.stores.scripts import admission, counter_key, read_reply

from tests.core.process.certificates import Pair, make

RULE = FixedWindow(5, 1000)


def admit(*keys: str) -> Any:
    return admission(keys, [RULE] * len(keys), [1] * len(keys), member="", lease=30.0)


@contextlib.asynccontextmanager
async def client_of(**options: object) -> AsyncIterator[Any]:
    client = RedisClient(RedisConfig.model_validate(options))
    try:
        yield client
    finally:
        await client.aclose()


async def until_it_works(client: RedisClient, key: str) -> list[int]:
    """Call until the servers have sorted themselves out; return the answer."""
    async with asyncio.timeout(40):
        while True:
            with contextlib.suppress(Exception):
                [reply] = await client.run([admit(key)])
                if isinstance(reply, list):
                    return reply
            await asyncio.sleep(0.1)


async def test_a_unix_socket_and_another_database(valkey_server: Any, tmp_path: Path) -> None:
    path = tmp_path / "valkey.sock"
    server = valkey_server("--unixsocket", str(path))

    async with client_of(url=f"unix://{path}") as by_socket, client_of(url=f"redis://127.0.0.1:{server.port}/3") as db3:
        await by_socket.probe()
        [reply] = await by_socket.run([admit("a")])
        [in_other_database] = await db3.run([admit("a")])

    assert read_reply(reply)[0].remaining == 4
    assert read_reply(in_other_database)[0].remaining == 4


async def test_user_and_password_from_the_url_or_beside_it(valkey_server: Any) -> None:
    server = valkey_server()
    server.command("ACL", "SETUSER", "limits", "on", ">p@ss/word", "~*", "+@all")
    server.command("ACL", "SETUSER", "default", "off")

    for options in (
        {"url": f"redis://limits:p%40ss%2Fword@127.0.0.1:{server.port}/0"},
        {"url": server.url, "username": "limits", "password": "p@ss/word"},
    ):
        async with client_of(**options) as client:
            await client.probe()
    async with client_of(url=server.url) as client:
        with pytest.raises(Exception, match=r"(?i)auth"):
            await client.probe()


async def test_a_cluster_keeps_counters_that_are_charged_together_on_one_node(valkey_cluster: Any) -> None:
    keys = [counter_key("p:", f"counter {number}", "tag") for number in range(3)]
    spread = [counter_key("p:", f"counter {number}", None) for number in range(30)]

    async with client_of(url=valkey_cluster[0].url, mode="cluster") as client:
        await client.probe()
        together = await client.run([admit(*keys), admit(*keys)])
        apart = await client.run([admit(key) for key in spread])
        again = await client.run([admit(key) for key in spread])

    assert [decision.remaining for decision in read_reply(together[1])] == [3, 3, 3]
    assert [read_reply(reply)[0].remaining for reply in apart + again] == [4] * 30 + [3] * 30
    sizes = [int(server.command("DBSIZE")[1:]) for server in valkey_cluster]
    assert all(sizes)
    assert sum(sizes) >= 33


async def test_a_cluster_without_one_of_its_nodes_serves_the_rest(valkey_cluster: Any) -> None:
    async with client_of(url=valkey_cluster[0].url, mode="cluster") as client:
        await client.probe()
        keys = [counter_key("q:", f"counter {number}", None) for number in range(30)]
        await client.run([admit(key) for key in keys])
        for server in valkey_cluster:
            server.command("CONFIG", "SET", "cluster-require-full-coverage", "no")
        valkey_cluster[2].kill()

        works = []
        for key in keys:
            with contextlib.suppress(Exception):
                [reply] = await client.run([admit(key)])
                works.append(not isinstance(reply, Exception))

    assert any(works)


async def test_sentinels_name_the_server_and_its_successor(
    valkey_server: Any, valkey_sentinel: Any, eventually: Any
) -> None:
    first = valkey_server()
    second = valkey_server("--replicaof", f"127.0.0.1 {first.port}", "--repl-diskless-sync-delay", "0")
    sentinel = valkey_sentinel("main", first.port)

    nodes = [f"127.0.0.1:{sentinel.port}"]
    async with client_of(mode="sentinel", nodes=nodes, master="main") as client:
        await until_it_works(client, "a")
        assert "OK" in sentinel.command("SENTINEL", "SET", "main", "down-after-milliseconds", "200")
        await eventually(lambda: str(second.port) in sentinel.command("SENTINEL", "REPLICAS", "main"))
        first.kill()

        await until_it_works(client, "b")

    assert int(second.command("EXISTS", "b")[1:]) == 1


@contextlib.asynccontextmanager
async def tls_in_front_of(port: int, pair: Pair, client: Pair) -> AsyncIterator[int]:
    """Encrypt a server's port: the binary that tests have was built without TLS. Yields the port that speaks it."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(client.cert))
    context.load_cert_chain(pair.cert, pair.key)
    context.verify_mode = ssl.CERT_REQUIRED
    open_writers: set[asyncio.StreamWriter] = set()

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
            writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream_reader, upstream_writer = await asyncio.open_connection("127.0.0.1", port)
        open_writers.update((writer, upstream_writer))
        await asyncio.gather(copy(reader, upstream_writer), copy(upstream_reader, writer))

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for writer in open_writers:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


async def test_tls_with_certificates_on_both_sides(calm_valkey: Any, tmp_path: Path) -> None:
    pair, own = make(tmp_path, "server", "localhost"), make(tmp_path, "gateway")
    certificates = {"cert": str(own.cert), "key": str(own.key)}
    async with tls_in_front_of(calm_valkey.port, pair, own) as port:
        good = {"url": f"rediss://localhost:{port}/0", "tls": {"ca": str(pair.cert), **certificates}}
        async with client_of(**good) as client:
            await client.probe()
            [reply] = await client.run([admit("tls")])
        assert read_reply(reply)[0].remaining == 4

        for tls in (
            certificates,  # the server's certificate is nobody's that the system trusts
            {"ca": str(pair.cert)},  # no certificate of our own
            {"ca": str(own.cert), **certificates},
        ):
            async with client_of(url=f"rediss://localhost:{port}", tls=tls) as client:
                with pytest.raises(Exception, match=r"(?i)ssl|certificate|connect|closed|reset"):
                    await client.probe()
        async with client_of(url=f"rediss://127.0.0.1:{port}", tls=good["tls"]) as client:  # not its name
            with pytest.raises(Exception, match=r"(?i)certificate"):
                await client.probe()
        async with client_of(url=f"rediss://127.0.0.1:{port}", tls={"verify": False, **certificates}) as client:
            await client.probe()
