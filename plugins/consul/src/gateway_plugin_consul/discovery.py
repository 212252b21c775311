"""The discovery ``consul``: the healthy instances of a service, by blocking queries."""

from __future__ import annotations

import logging
import os
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import ClassVar
from urllib.parse import quote

from gateway_plugin_sdk import Discovered, DiscoveryContext, EndpointSpec

from gateway_plugin_consul.access import Access, Token, check_address, tls_of
from gateway_plugin_consul.agents import Agents
from gateway_plugin_consul.blocking import BlockingQuery, SharedQuery
from gateway_plugin_consul.instances import InstancesError, keep_same, read_instances
from gateway_plugin_consul.options import ConsulConfig

_logger = logging.getLogger("gateway.plugins.consul")


class ConsulDiscovery:
    """Follows the instances of one service."""

    config_model: ClassVar[type[ConsulConfig]] = ConsulConfig

    def __init__(self, config: ConsulConfig, context: DiscoveryContext) -> None:
        """Prepare to ask.

        :raises ValueError: an address or a file cannot be used.
        """
        self._config = config
        self._context = context
        self._access = access_of(config, os.environ)
        # What the response depends on: upstreams that take other instances of it share the query. Files count with what
        # is in them: the query with a certificate that was replaced is another one.
        tls = config.tls
        files = [Path(name).read_bytes() if name else b"" for name in (tls.ca, tls.cert, tls.key)]
        who = replace(self._access, tls=tls.verify)
        self._query_key = ("consul", who, config.service, *query_of(config), config.wait, config.timeout, *files)

    async def watch(self) -> AsyncGenerator[Discovered]:
        """Yield the endpoints as soon as they are known, and after each change."""
        known: dict[str, EndpointSpec] = {}
        body: bytes | None = None
        refused: list[str] = []
        lease = self._context.shared.acquire(self._query_key, self._make_query)
        query: SharedQuery = lease.value
        try:
            async with aclosing(query.results()) as results:
                async for each in results:
                    failure = each.failure
                    if each.body is not None and each.body is not body:
                        before, refused = refused, []
                        try:
                            found = self._read(each.body, refused.append)
                        except InstancesError as error:
                            failure = str(error)
                        else:
                            known, body = keep_same(known, found), each.body
                        if refused and refused != before:
                            self._report(refused)
                    why = failure or ("" if known else refused[0] if refused else why_empty(self._config))
                    yield Discovered(tuple(known.values()), is_stale=bool(failure), reason=why)
        finally:
            await lease.aclose()

    def _make_query(self) -> SharedQuery:
        config, context = self._config, self._context
        query = BlockingQuery(
            Agents(self._access, context.session),
            f"/v1/health/service/{quote(config.service, safe='')}",
            query_of(config),
            wait=config.wait,
            timeout=config.timeout,
            clock=context.clock,
            rng=context.rng,
        )
        return SharedQuery(query, config.service)

    def _read(self, body: bytes, refuse: Callable[[str], None]) -> dict[str, EndpointSpec]:
        config = self._config
        return read_instances(body, config.scheme, config.tags, include_warning=config.include_warning, refuse=refuse)

    def _report(self, refused: list[str]) -> None:
        more = f", and {len(refused) - 1} more" if len(refused) > 1 else ""
        name, service = self._context.upstream, self._config.service
        _logger.warning("upstream %s: of service %r %s; left out%s", name, service, refused[0], more)


def why_empty(config: ConsulConfig) -> str:
    """Return why there may be no instances: Consul says the same for a service that it does not know."""
    passing = "passing or warning" if config.include_warning else "passing"
    wanted = [f"the tag {tag!r}" for tag in config.tags] + ([f"filter {config.filter!r}"] if config.filter else [])
    among = f" with {', '.join(wanted)}" if wanted else ""
    return f"service {config.service!r} has no {passing} instance{among}, or Consul does not know it"


def query_of(config: ConsulConfig) -> list[tuple[str, str]]:
    """Return the parameters of the query; tags and states are left to us, so that upstreams can share it."""
    named = {"filter": config.filter, "dc": config.datacenter, "ns": config.namespace, "partition": config.partition}
    query = [(name, value) for name, value in named.items() if value]
    if config.consistency != "default":
        query.append((config.consistency, ""))
    return query


def access_of(options: ConsulConfig, environ: Mapping[str, str]) -> Access:
    """Return where the agents are and who we are.

    :raises AccessError: an address or a file cannot be used.
    """
    tls, token = options.tls, options.token
    return Access(
        tuple(check_address(address) for address in options.addresses),
        Token.of(token.reveal() if token else "", options.token_file, environ if token is None else {}),
        tls_of(tls.ca, tls.cert, tls.key, verify=tls.verify),
        tls.server_name or None,
    )
