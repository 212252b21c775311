"""The discovery ``consul``: the healthy instances of a service, by blocking queries."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import ClassVar
from urllib.parse import quote

from gateway_plugin_sdk import Discovered, DiscoveryContext, EndpointSpec, GatewayError

from gateway_plugin_consul.access import Access, Token, check_address, tls_of
from gateway_plugin_consul.agents import Agents
from gateway_plugin_consul.blocking import BlockingQuery
from gateway_plugin_consul.instances import InstancesError, keep_same, read_instances
from gateway_plugin_consul.options import ConsulConfig


class NoResponseError(GatewayError):
    """Nothing was ever heard."""


class ConsulDiscovery:
    """Follows the instances of one service."""

    config_model: ClassVar[type[ConsulConfig]] = ConsulConfig

    def __init__(self, config: ConsulConfig, context: DiscoveryContext) -> None:
        """Prepare to ask.

        :raises ValueError: an address or a file cannot be used.
        """
        self._config = config
        self._query = BlockingQuery(
            Agents(access_of(config, os.environ), context.session),
            f"/v1/health/service/{quote(config.service, safe='')}",
            query_of(config),
            wait=config.wait,
            timeout=config.timeout,
            clock=context.clock,
            rng=context.rng,
        )

    async def watch(self) -> AsyncGenerator[Discovered]:
        """Yield the endpoints as soon as they are known, and after each change.

        :raises NoResponseError: the agents fail before that.
        """
        known: dict[str, EndpointSpec] = {}
        body: bytes | None = None
        async with aclosing(self._query.results()) as results:
            async for each in results:
                failure = each.failure
                if each.body is None:
                    raise NoResponseError(failure)
                if each.body is not body:
                    try:
                        found = self._read(each.body)
                    except InstancesError as error:
                        if body is None:
                            raise
                        failure = str(error)
                    else:
                        known, body = keep_same(known, found), each.body
                why = failure or ("" if known else why_empty(self._config))
                yield Discovered(tuple(known.values()), is_stale=bool(failure), reason=why)

    def _read(self, body: bytes) -> dict[str, EndpointSpec]:
        return read_instances(body, self._config.scheme, include_warning=self._config.include_warning)


def why_empty(config: ConsulConfig) -> str:
    """Return why there may be no instances: Consul says the same for a service that it does not know."""
    passing = "passing or warning" if config.include_warning else "passing"
    wanted = [f"the tag {tag!r}" for tag in config.tags] + ([f"filter {config.filter!r}"] if config.filter else [])
    among = f" with {', '.join(wanted)}" if wanted else ""
    return f"service {config.service!r} has no {passing} instance{among}, or Consul does not know it"


def query_of(config: ConsulConfig) -> list[tuple[str, str]]:
    """Return the parameters that every query has."""
    query = [] if config.include_warning else [("passing", "true")]
    query += [("tag", tag) for tag in config.tags]
    named = {"filter": config.filter, "dc": config.datacenter, "ns": config.namespace, "partition": config.partition}
    query += [(name, value) for name, value in named.items() if value]
    if config.consistency != "default":
        query.append((config.consistency, ""))
    return query


def access_of(options: ConsulConfig, environ: Mapping[str, str]) -> Access:
    """Return where the agents are and who we are.

    :raises AccessError: an address or a file cannot be used.
    """
    tls = options.tls
    return Access(
        tuple(check_address(address) for address in options.addresses),
        Token.of(options.token.reveal(), options.token_file, environ),
        tls_of(tls.ca, tls.cert, tls.key, verify=tls.verify),
        tls.server_name or None,
    )
