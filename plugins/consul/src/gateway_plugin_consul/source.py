"""The source ``consul://``: configuration documents below a prefix of the key-value store."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final
from urllib.parse import quote

from gateway_plugin_sdk import Document, SourceContext, SourceState, SourceUrl
from gateway_plugin_sdk.unstable import switch_option, with_port

from gateway_plugin_consul.access import Access, Token, check_address, tls_of
from gateway_plugin_consul.agents import Agents
from gateway_plugin_consul.blocking import BlockingQuery
from gateway_plugin_consul.discovery import NoResponseError
from gateway_plugin_consul.documents import KeysError, documents_of

DEFAULT_HOST: Final = "127.0.0.1:8500"
DEFAULT_PORT: Final = 8500
LONGEST_WAIT: Final = 600.0
OPTIONS: Final = (
    "token",
    "token_file",
    "dc",
    "ns",
    "partition",
    "wait",
    "timeout",
    "tls",
    "ca",
    "cert",
    "key",
    "verify",
    "server_name",
)


class ConsulSource:
    """Follows the keys below a prefix."""

    def __init__(self, url: SourceUrl, context: SourceContext) -> None:
        """Read the options.

        :raises ValueError: one of them cannot be used.
        """
        url.allow_options(*OPTIONS)
        self._prefix = url.path.strip("/")
        self._place = f"consul://{','.join(url.hosts) or DEFAULT_HOST}"
        wait = url.seconds("wait", 60.0)
        if wait > LONGEST_WAIT:
            raise ValueError(f"option wait: {url.options['wait']!r} is longer than 10m")
        options = [(name, url.options.get(name, "")) for name in ("dc", "ns", "partition")]
        self._query = BlockingQuery(
            Agents(access_of(url, context), context.session),
            f"/v1/kv/{quote(self._prefix)}",
            [("recurse", "true"), *((name, value) for name, value in options if value)],
            wait=wait,
            timeout=url.seconds("timeout", 10.0),
            clock=context.clock,
            rng=context.rng,
            may_be_missing=True,
        )

    async def documents(self) -> AsyncGenerator[SourceState]:
        """Yield the documents as soon as they are known, and after each change.

        :raises NoResponseError: the agents fail before that.
        """
        known: tuple[Document, ...] = ()
        body: bytes | None = None
        async with aclosing(self._query.results()) as results:
            async for each in results:
                failure = each.failure
                if each.body is None:
                    raise NoResponseError(failure)
                if each.body is not body:
                    try:
                        known, body = documents_of(each.body, self._prefix, self._place), each.body
                    except KeysError as error:
                        if body is None:
                            raise
                        failure = str(error)
                yield SourceState(known, is_stale=bool(failure), reason=failure)


def access_of(url: SourceUrl, context: SourceContext) -> Access:
    """Return where the agents are and who we are; the token may be the URL's password.

    :raises ValueError: an option or a file cannot be used.
    """
    options = url.options
    is_tls, is_verified = switch_option(url, "tls", default=False), switch_option(url, "verify", default=True)
    hosts = url.hosts or (DEFAULT_HOST,)
    return Access(
        tuple(check_address(f"{'https' if is_tls else 'http'}://{with_port(host, DEFAULT_PORT)}") for host in hosts),
        Token.of(options.get("token", "") or url.password, options.get("token_file", ""), context.environ),
        tls_of(options.get("ca", ""), options.get("cert", ""), options.get("key", ""), verify=is_verified),
        options.get("server_name") or None,
    )
