"""The calls that the gateway makes to an etcd cluster."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final

import aiohttp
from gateway_plugin_sdk.unstable import LineSplitter, LineTooLongError, RenewedTls, failure_text

from gateway_plugin_etcd.errors import EtcdError, UnauthenticatedError, UnavailableError
from gateway_plugin_etcd.keyspace import Scope
from gateway_plugin_etcd.members import Members
from gateway_plugin_etcd.wire import KeyValue, WatchMessage, encoded, read_page, read_refusal, read_watch_message

PAGE: Final = 1000
LONGEST_LINE: Final = 64 * 1024 * 1024
"""Bytes; etcd itself takes requests of 1.5 MiB, but may report many events in one line."""

LARGEST: Final = 256 * 1024 * 1024
"""Bytes of a response, and of all keys and values of a scope, at most."""
_LARGEST_REFUSAL: Final = 1024 * 1024
"""Keys in one response of a listing."""


@dataclass(frozen=True, slots=True)
class Access:
    """How to reach a cluster."""

    urls: tuple[str, ...]
    """Of the members: ``http://10.0.0.1:2379``."""
    username: str = ""
    password: str = field(default="", repr=False)
    tls: RenewedTls | None = None
    timeout: float = 5.0
    """Seconds that a call may take."""
    ping: float = 5.0
    """Seconds of silence on a watch after which its member is asked whether it is still there."""


@dataclass(frozen=True, slots=True)
class Listing:
    """All keys of a scope at one revision."""

    entries: tuple[KeyValue, ...]
    revision: int
    cluster: str


class EtcdClient:
    """Talks to one member at a time, and goes on to the next when it fails."""

    def __init__(self, access: Access, session: Callable[[], aiohttp.ClientSession], rng: Random) -> None:
        self._access = access
        self._session = session
        self._token = ""
        self.members = Members(access.urls, rng)

    async def list(self, scope: Scope) -> Listing:
        """Return all keys of a scope as they are now.

        :raises EtcdError: no member responds, or etcd refuses.
        """
        first, beyond = scope.first, scope.beyond
        entries: list[KeyValue] = []
        revision, cluster, size = 0, "", 0
        while True:
            body = {"key": encoded(first), "range_end": encoded(beyond), "limit": PAGE, "revision": revision}
            page = read_page(await self.call("/v3/kv/range", body))
            if not revision:
                # The pages that follow are of the same revision, whatever happens meanwhile.
                revision, cluster = page.revision, page.cluster
            entries += page.entries
            size += sum(len(entry.key) + len(entry.value) for entry in page.entries)
            if size > LARGEST:
                raise EtcdError(f"what is below the prefix is larger than {LARGEST} bytes: give a longer prefix")
            if not page.has_more or not page.entries:
                return Listing(tuple(entries), revision, cluster)
            first = page.entries[-1].key + b"\0"

    async def watch(self, scopes: Sequence[tuple[int, Scope, int]]) -> AsyncGenerator[WatchMessage]:
        """Yield what happens to scopes, on one connection; ends only by an error.

        A message that refuses a watch is yielded like the others: it may concern one of several scopes.

        :param scopes: of each the number that its messages carry, from 1, and the revision to begin with.
        :raises EtcdError: the member failed, fell silent or refuses. The next call goes to another one.
        """
        # The gateway of etcd takes several messages in one body, and reads it whole before it responds.
        body = "\n".join(
            json.dumps(
                {
                    "create_request": {
                        "key": encoded(scope.first),
                        "range_end": encoded(scope.beyond),
                        "start_revision": revision,
                        "progress_notify": True,
                        "watch_id": number,
                    }
                }
            )
            for number, scope, revision in scopes
        )
        member = self.members.current
        try:
            token = await self._authenticated(member)
            timeout = aiohttp.ClientTimeout(total=None, sock_connect=self._access.timeout)
            async with self._post(member, "/v3/watch", body, token, timeout) as response:
                if response.status != 200:
                    raise read_refusal(response.status, await _body(response, _LARGEST_REFUSAL))
                async for line in self._lines(member, response.content, scopes[0][1]):
                    message = read_watch_message(line)
                    if isinstance(message.refusal, UnauthenticatedError):
                        self._token = ""
                    yield message
            raise UnavailableError("it ended the watch")
        except UnauthenticatedError:
            self._token = ""
            raise
        except UnavailableError:
            self.members.leave(member)
            raise
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            self.members.leave(member)
            raise UnavailableError(_told(member, error)) from error

    async def call(self, path: str, body: Any) -> Any:
        """Make one call, to each member until one responds.

        :raises EtcdError: none does, or etcd refuses.
        """
        failure: EtcdError | None = None
        fresh_token = False
        for _ in range(len(self.members) + 1):
            member = self.members.current
            try:
                return await self._call(member, path, body, await self._authenticated(member))
            except UnauthenticatedError as error:
                self._token, failure = "", error
                if fresh_token:
                    break
                fresh_token = True
            except UnavailableError as error:
                self.members.leave(member)
                failure = error
        assert failure is not None
        raise failure

    async def _lines(self, member: str, content: aiohttp.StreamReader, scope: Scope) -> AsyncGenerator[bytes]:
        """Yield lines; when there are none for a while, ask the member whether it can still respond.

        A member that was cut off from the others, or a connection that was lost without a word, is silent as well.
        """
        splitter = LineSplitter(LONGEST_LINE)
        while True:
            try:
                async with asyncio.timeout(self._access.ping):
                    data = await content.readany()
            except TimeoutError:
                await self._ping(member, scope)
                continue
            if not data:
                return
            try:
                lines = splitter.feed(data)
            except LineTooLongError as error:
                raise EtcdError(str(error)) from None
            for line in lines:
                yield line

    async def _ping(self, member: str, scope: Scope) -> None:
        # Linearizable: only a member that has a quorum behind it can respond.
        body = {"key": encoded(scope.first), "range_end": encoded(scope.beyond), "limit": 1, "keys_only": True}
        await self._call(member, "/v3/kv/range", body, await self._authenticated(member))

    async def _authenticated(self, member: str) -> str:
        access = self._access
        if access.username and not self._token:
            body = {"name": access.username, "password": access.password}
            response = await self._call(member, "/v3/auth/authenticate", body, "")
            self._token = str(response.get("token", ""))
        return self._token

    async def _call(self, member: str, path: str, body: Any, token: str) -> Any:
        timeout = aiohttp.ClientTimeout(total=self._access.timeout)
        try:
            async with self._post(member, path, json.dumps(body), token, timeout) as response:
                if response.status != 200:
                    raise read_refusal(response.status, await _body(response, _LARGEST_REFUSAL))
                return json.loads(await _body(response, LARGEST))
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError, RecursionError) as error:
            raise UnavailableError(_told(member, error)) from error

    def _post(
        self, member: str, path: str, body: str, token: str, timeout: aiohttp.ClientTimeout
    ) -> Any:  # aiohttp's context manager has no public name
        headers = {
            "Accept-Encoding": "identity",
            "Content-Type": "application/json",
            # A member that loses its leader ends the watch instead of being silent.
            "Grpc-Metadata-hasleader": "true",
        }
        if token:
            headers["Authorization"] = token
        return self._session().post(
            member + path,
            data=body,
            headers=headers,
            timeout=timeout,
            ssl=True if self._access.tls is None else self._access.tls.context(),
            allow_redirects=False,
        )


async def _body(response: aiohttp.ClientResponse, largest: int) -> bytes:
    body = bytearray()
    async for part in response.content.iter_any():
        body += part
        if len(body) > largest:
            raise UnavailableError(f"the response to {response.url.path} is larger than {largest} bytes")
    return bytes(body)


def _told(member: str, error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return f"{member} does not respond in time"
    return f"{member}: {failure_text(error)}"
