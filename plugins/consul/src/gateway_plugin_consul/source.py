"""The source ``consul://``: configuration documents below a prefix of the key-value store."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import ClassVar, Final
from urllib.parse import quote

from gateway_plugin_sdk import Document, GatewayError, SourceContext, SourceState, SourceUrl
from gateway_plugin_sdk.unstable import with_port

from gateway_plugin_consul.access import Access, Token, check_address, tls_of
from gateway_plugin_consul.agents import Agents
from gateway_plugin_consul.blocking import BlockingQuery
from gateway_plugin_consul.documents import KeysError, documents_of
from gateway_plugin_consul.options import ConsulSourceConfig

DEFAULT_HOST: Final = "127.0.0.1:8500"
DEFAULT_PORT: Final = 8500


class NoResponseError(GatewayError):
    """The documents were never known."""


class ConsulSource:
    """Follows the keys below a prefix."""

    config_model: ClassVar[type[ConsulSourceConfig]] = ConsulSourceConfig

    def __init__(self, url: SourceUrl, context: SourceContext) -> None:
        """Read the options.

        :raises ValueError: one of them cannot be used.
        """
        config: ConsulSourceConfig = url.config
        self._prefix = url.path.strip("/")
        self._place = f"consul://{','.join(url.hosts) or DEFAULT_HOST}"
        options = [("dc", config.dc), ("ns", config.ns), ("partition", config.partition)]
        self._query = BlockingQuery(
            Agents(access_of(url, context), context.session),
            f"/v1/kv/{quote(self._prefix)}",
            [("recurse", "true"), *((name, value) for name, value in options if value)],
            wait=config.wait,
            timeout=config.timeout,
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
    config: ConsulSourceConfig = url.config
    hosts = url.hosts or (DEFAULT_HOST,)
    return Access(
        tuple(
            check_address(f"{'https' if config.tls else 'http'}://{with_port(host, DEFAULT_PORT)}") for host in hosts
        ),
        Token.of(config.token.reveal() or url.password, config.token_file, context.environ),
        tls_of(config.ca, config.cert, config.key, verify=config.verify),
        config.server_name or None,
    )
