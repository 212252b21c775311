"""What `forward-auth` costs a request, beside the same requests without the plugin.

    python -m benchmarks.forward_auth            # microseconds of processor time per request
    python -m benchmarks.forward_auth asked      # cases with this in their name

`kept` decisions are in the cache: of one client that sends one request again and again, and of 400 requests of as many
users that come in turn. `own` is what is left beside hooks of the same phases that do nothing. `asked` ones are not
kept: a service in another process, whose time does not count, is asked over a connection that stays open. There `own`
is what is left beside a plugin that sends the service a request of its own, without fields, and does nothing with the
response. The gateway responds itself. Compare figures of one run only.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Final

import uvloop
from gateway_plugin_sdk import ConfigModel, Plugin, UpstreamName, hookimpl

from benchmarks.identity import NO_OP, compare
from benchmarks.plugins import NO_OPS, USERS, repeated, token, varied
from benchmarks.service import service

DECISION: Final = b"HTTP/1.1 200 OK\r\nRemote-User: alice\r\nRemote-Groups: staff\r\nContent-Length: 0\r\n\r\n"


class FetchesConfig(ConfigModel):
    """Whom it asks."""

    target: UpstreamName


class Fetches(Plugin[FetchesConfig]):
    """Asks a service, and does nothing with the response."""

    name = "fetches"
    config_model = FetchesConfig

    @hookimpl
    async def gateway_pre_proxy(self) -> None:
        """Ask."""
        async with self.upstreams.fetch(self.config.target, timeout=5.0):
            pass


async def measure(url: str, wanted: str, seed: int, rounds: int, count: int) -> None:
    options = f"target: '{url}', upstream_headers: [Remote-User], identity: {{groups: Remote-Groups}}"
    asked = [f"{{name: forward-auth, config: {{{options}}}}}"]
    kept = [f"{{name: forward-auth, config: {{{options}, cache: {{ttl: 1h}}}}}}"]
    bare = [f"{{name: fetches, config: {{target: '{url}'}}}}"]
    of_users = varied([token(each) for each in range(USERS)], seed)
    cases: list[tuple[str, Sequence[str], Sequence[str], Sequence[bytes]]] = [
        ("kept, repeated", NO_OP, kept, repeated()),
        ("kept, varied", NO_OP, kept, of_users[:USERS]),
        ("asked, repeated", bare, asked, repeated()),
        ("asked, varied", bare, asked, of_users),
    ]
    for name, beside, plugins, requests in cases:
        if wanted in name:
            compared = {"": [], "beside": beside, f"forward-auth, {name}": plugins}
            await compare(compared, requests, rounds, count, (*NO_OPS, Fetches))


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("case", nargs="?", default="")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--count", type=int, default=4000)
    arguments = parser.parse_args()
    with service(DECISION) as url:
        await measure(url, arguments.case, arguments.seed, arguments.rounds, arguments.count)


if __name__ == "__main__":
    uvloop.run(main())
