"""Requests to Consul's agents."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import aiohttp
from gateway_plugin_sdk import GatewayError
from yarl import URL

from gateway_plugin_consul.access import Access

LARGEST: Final = 256 * 1024 * 1024
CONNECT_TIMEOUT: Final = 5.0
_EXPLANATION: Final = 300
"""Characters of a response that are shown as the reason of a refusal."""
Query = Sequence[tuple[str, str]]


class AgentError(GatewayError):
    """A refusal, or a response that cannot be one."""


@dataclass(frozen=True, slots=True)
class AgentResponse:
    """What an agent says."""

    body: bytes
    """Empty if there is nothing (404)."""
    index: int | None
    """``X-Consul-Index``; None if there is none, or it is no number."""


class Agents:
    """The agents, of which one is in use."""

    def __init__(self, access: Access, session: Callable[[], aiohttp.ClientSession]) -> None:
        self._access = access
        self._session = session
        self._turn = 0

    @property
    def address(self) -> str:
        """The agent in use."""
        return self._access.addresses[self._turn % len(self._access.addresses)]

    def use_next(self) -> None:
        """Go over to the next agent: this one does not respond."""
        self._turn += 1

    async def get(self, path: str, query: Query, *, limit: float, may_be_missing: bool = False) -> AgentResponse:
        """Ask the agent in use.

        :param limit: seconds in which everything has to be there.
        :param may_be_missing: whether 404 with an index is a response, as it is for keys.
        :raises AgentError: the agent refuses.
        :raises AccessError: the token cannot be read.
        :raises OSError: it cannot be reached (aiohttp's errors of connections, and ``TimeoutError``, included).
        """
        tls = self._access.tls
        request = self._session().get(
            URL(self.address + path, encoded=True).with_query(list(query)),
            headers={**self._access.token.header(), "Accept": "application/json", "Accept-Encoding": "identity"},
            timeout=aiohttp.ClientTimeout(total=limit, sock_connect=CONNECT_TIMEOUT),
            ssl=tls if isinstance(tls, bool) else tls.context(),
            server_hostname=self._access.server_name,
            allow_redirects=False,
        )
        async with request as response:
            body = await _body(response)
        index = response.headers.get("X-Consul-Index", "")
        number = int(index) if index.isascii() and index.isdecimal() and len(index) < 20 else None
        if response.status == 200:
            return AgentResponse(body, number)
        # An agent has an index for keys that are not there; a proxy, or another server at this address, has none.
        if response.status == 404 and may_be_missing and number is not None:
            return AgentResponse(b"", number)
        said = " ".join(body.decode("utf-8", "replace").split())[:_EXPLANATION] or response.reason or "refused"
        raise AgentError(f"{self.address} responds {response.status} to {path}: {said}")


async def _body(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for part in response.content.iter_any():
        body += part
        if len(body) > LARGEST:
            raise AgentError(f"the response to {response.url.path} is larger than {LARGEST} bytes")
    return bytes(body)
