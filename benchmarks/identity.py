"""What a session of `oidc` costs a request, beside the same requests without the plugin.

    python -m benchmarks.identity            # microseconds of processor time per request
    python -m benchmarks.identity varied     # cases with this in their name

Sessions are in sealed cookies that were seen before: of one client that sends one request again and again, and of 400
users whose targets never come twice. `own` is what is left beside hooks of the same phases that do nothing. The gateway
responds itself. Compare figures of one run only.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import re
import statistics
import time
from collections.abc import Sequence
from itertools import cycle, islice
from typing import Any, Final

from gateway_plugin_oidc.cookies import CookieWriter, OwnCookies
from gateway_plugin_oidc.sealing import Sealer, as_text
from gateway_plugin_oidc.session import Session
from gateway_plugin_sdk import Plugin

from benchmarks.pipeline import prepare
from benchmarks.plugins import NO_OPS, USERS, repeated, token, varied
from benchmarks.responding import Receiving

KEY: Final = "0123456789abcdef0123456789abcdef"
ISSUER: Final = "http://127.0.0.1:9"
_HOST: Final = re.compile(rb"\r\nHost: ([^\r]*)")
_BEARER: Final = re.compile(rb"\r\nAuthorization: Bearer ([^\r]*)")
_COOKIE: Final = re.compile(rb"\r\nCookie: [^\r]*")
NO_OP: Final = ["{name: decides_and_responds}"]
OIDC: Final = [
    (
        f"{{name: oidc, config: {{issuer: '{ISSUER}', client_id: web, redirect_uri: 'http://127.0.0.1:8080/cb',"
        f" keys: [{KEY}], session: {{single_gateway: true}}}}}}"
    )
]
SIZE: Final = 1024


class Sessions:
    """Gives each user a session, whose cookie is sealed as `oidc` seals it."""

    def __init__(self) -> None:
        self._sealer = Sealer([KEY], ("oidc", f"{ISSUER}|web"))
        self._writer = CookieWriter("gateway-session", secure=False, domain=None, same_site="lax")
        self._cookies: dict[tuple[bytes, bytes], bytes] = {}

    def in_place_of_tokens(self, heads: Sequence[bytes]) -> list[bytes]:
        """Return the requests with the cookie of a session in place of the bearer token."""
        return [self._changed(head) for head in heads]

    def _changed(self, head: bytes) -> bytes:
        host = _HOST.search(head)
        bearer = _BEARER.search(head)
        assert host is not None, "every request has a Host"
        assert bearer is not None, "every request has a token"
        text = bearer[1]
        key = text, host[1]
        cookie = self._cookies.get(key)
        if cookie is None:
            cookie = self._cookies[key] = self._cookie(text.decode(), host[1].decode())
        return _BEARER.sub(b"", head, 1).replace(b"\r\n\r\n", b"\r\nCookie: %b; theme=dark\r\n\r\n" % cookie, 1)

    def _cookie(self, id_token: str, host: str) -> bytes:
        now = time.time()
        session = Session(
            hashlib.sha256(id_token.encode()).hexdigest(), ISSUER, "alice", now, now, access_token="a" * 40,
            refresh_token="r" * 40, id_token=id_token, expires_at=now + 3600, renew_at=now + 3000,
        )  # fmt: skip
        sealed = as_text(self._sealer.seal(session.to_bytes(), "session", host))
        return self._writer.session(sealed, 3600, OwnCookies({}, ""))[0].partition(";")[0].encode()


class Case:
    """A gateway that responds itself, with some plugins before."""

    def __init__(self, wire: Receiving, client: asyncio.Protocol, requests: Sequence[bytes]) -> None:
        self._wire = wire
        self._client = client
        self._requests = requests

    @classmethod
    async def of(
        cls, plugins: Sequence[str], requests: Sequence[bytes], known: Sequence[type[Plugin[Any]]] = NO_OPS
    ) -> Case:
        """Start one.

        :param known: plugins that no distribution publishes.
        """
        text = f"""
routes:
  - {{id: api, path: "/api/users/:id", respond: {{body: {"x" * SIZE}}}, plugins: [{", ".join(plugins)}]}}
"""
        proxy = await prepare(text, known)
        wire, client = Receiving(), proxy.server_for(proxy.holder.current.config.listen[0].address)()
        client.connection_made(wire)
        made = cls(wire, client, requests)
        await made.measure(len(requests))  # what was seen before is what is measured
        return made

    async def measure(self, count: int) -> float:
        """Return the microseconds of processor time that a request takes."""
        start = time.process_time()
        for request in islice(cycle(self._requests), count):
            await self._wire.receive(SIZE, self._client, request)
        return (time.process_time() - start) / count * 1e6


async def compare(
    cases: dict[str, Sequence[str]],
    requests: Sequence[bytes],
    rounds: int,
    count: int,
    known: Sequence[type[Plugin[Any]]] = NO_OPS,
) -> None:
    """Print what each case adds to the first, and to the second."""
    made = {name: await Case.of(plugins, requests, known) for name, plugins in cases.items()}
    costs: dict[str, list[float]] = {name: [] for name in made}
    for _ in range(rounds):  # in turn: the machine is not equally quick all the time
        for name, case in made.items():
            costs[name].append(await case.measure(count))
    first, second, *others = costs
    for name in others:
        added = [one - other for one, other in zip(costs[name], costs[first], strict=True)]
        own = [one - other for one, other in zip(costs[name], costs[second], strict=True)]
        print(
            f"{name:28s} {statistics.median(added):+8.2f} us"
            f"   (without {statistics.median(costs[first]):.2f}, own {statistics.median(own):+.2f})"
        )


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("case", nargs="?", default="")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--count", type=int, default=8000)
    arguments = parser.parse_args()
    traffic = {"repeated": repeated(), "varied": varied([token(each) for each in range(USERS)], arguments.seed)}
    made = Sessions()
    for kind, heads in traffic.items():
        requests = made.in_place_of_tokens([_COOKIE.sub(b"", head) for head in heads])
        name = f"oidc, {kind}"
        if arguments.case in name:
            await compare({"": [], "no-op": NO_OP, name: OIDC}, requests, arguments.rounds, arguments.count)


if __name__ == "__main__":
    asyncio.run(main())
