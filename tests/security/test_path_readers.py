"""What matched, what plugins saw and what servers make of what went upstream is the same resource."""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from gateway_core.errors import BadPathError
from gateway_core.hooks import Plugin
from gateway_core.hookspecs import hookimpl
from gateway_core.messages import Request, Response
from gateway_core.routing import PathPolicy
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.core.proxy.kit import field, run_proxy
from tests.security.readers import Reader, apache, asgi, iis, jetty, nginx, reader_at, spring, tomcat, wsgi

ALPHABET = [
    *[
        "/",
        "/",
        "//",
        ";",
        ";v=1",
        ".",
        "..",
        "a",
        "b",
        "admin",
        "~",
        "%61",
        "%2e",
        "%2E%2e",
        "%25",
        "%252f",
        "%25252e",
    ],
    *[
        "%3b",
        "%3B",
        "%2f",
        "%5c",
        "%20",
        "%3F",
        "%23",
        "%00",
        "%0a",
        "%7f",
        "%C3%A9",
        "%e2%82%ac",
        "%c0%af",
        "%ff",
        "%",
    ],
]
PATHS = st.lists(st.sampled_from(ALPHABET), max_size=12).map(lambda parts: "/" + "".join(parts))
SPLITTERS = {"tomcat": tomcat, "jetty": jetty, "apache": apache, "spring": spring}


@pytest.fixture(scope="module")
def readers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Reader]]:
    with ExitStack() as stack:
        ports = {
            "nginx": stack.enter_context(nginx(tmp_path_factory.mktemp("nginx"))),
            "wsgi": stack.enter_context(wsgi()),
            "asgi": stack.enter_context(asgi()),
        }
        yield {name: reader_at(port) for name, port in ports.items()}


def resource(decoded: bytes) -> bytes:
    """Return what is left of a path once path parameters are cut and slashes merged, by any server."""
    return re.sub(b"//+", b"/", b"/".join(segment.partition(b";")[0] for segment in decoded.split(b"/")))


def matched(path: str) -> bytes:
    """Return the resource that a match path stands for: its escapes are decoded once."""
    return re.sub(rb"%(..)", lambda found: bytes.fromhex(found[1].decode()), path.encode())


def taken(policy: PathPolicy, raw: str) -> tuple[str, str]:
    """Return the match path and what goes upstream of an accepted path."""
    try:
        path, _ = policy.read(raw)
    except BadPathError:
        assume(False)
        raise
    return path, policy.sent(raw)


@given(PATHS)
@settings(max_examples=1000)
def test_splitters_find_what_was_matched(raw: str) -> None:
    path, sent = taken(PathPolicy(), raw)

    for name, read in SPLITTERS.items():
        found = read(sent)
        assert found is None or resource(found) == matched(path), name


@given(PATHS)
@settings(max_examples=1000)
def test_iis_finds_what_was_matched_where_case_does_not_matter(raw: str) -> None:
    path, sent = taken(PathPolicy(case="insensitive"), raw)

    found = iis(sent)

    assert found is not None
    assert resource(found).lower() == matched(path)


@given(PATHS)
@settings(max_examples=150)
def test_servers_find_what_was_matched(readers: dict[str, Reader], raw: str) -> None:
    path, sent = taken(PathPolicy(), raw)

    for name, read in readers.items():
        found = read(sent)
        assert found is None or resource(found) == matched(path), name


class Sees(Plugin[Any]):
    """Tells the client which path plugins see."""

    name = "sees"

    @hookimpl
    def gateway_response(self, request: Request, response: Response) -> None:
        response.headers["x-path"] = request.path.encode().hex()


async def test_what_plugins_see_is_what_nginx_serves(tmp_path: Path) -> None:
    chance = random.Random(7)
    paths = ["/" + "".join(chance.choices(ALPHABET, k=chance.randint(0, 8))) for _ in range(300)]

    with nginx(tmp_path) as port:
        config = f"""
plugins: [{{name: sees}}]
routes: [{{id: all, path_prefix: /, target: "http://127.0.0.1:{port}"}}]
"""
        statuses = []
        async with run_proxy(config, tmp_path, [Sees]) as gateway:
            for path in paths:
                request = f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n"
                status, head, body = await asyncio.wait_for(gateway.ask(request.encode()), 20)
                statuses.append(status)
                if status == 200:
                    seen = bytes.fromhex((field(head, b"x-path") or b"").decode()).decode()
                    assert resource(body) == matched(seen), path

    assert statuses.count(200) > 30
    assert set(statuses) == {200, 400}
