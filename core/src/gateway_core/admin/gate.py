"""Who asks on one address of the admin API, and whether they may: the I/O around `gateway_core.admin.access`."""

from __future__ import annotations

import asyncio
import math
import os
import socket
import struct
from collections.abc import Awaitable, Callable
from ipaddress import ip_address
from typing import Any, Final

from aiohttp import web

from gateway_core.admin.access import (
    ANONYMOUS,
    Access,
    Caller,
    bearer_of,
    browser_refusal,
    caller_of_certificate,
    caller_of_token,
)
from gateway_core.admin.connections import keep_connection
from gateway_core.admin.throttle import LoginThrottle
from gateway_core.clock import Clock, SystemClock
from gateway_core.config import AdminRole
from gateway_core.errors import RefusedError
from gateway_core.events import ADMIN_LOGIN_FAILED, emit

_CREDENTIALS: Final = struct.Struct("3i")
"""Process, user and group of a peer (``struct ucred`` of unix(7))."""


RECENT: Final = 1.0
"""Seconds for which it is not asked again who is let in, for those who are in."""


class Gate:
    """Lets requests in at one address."""

    def __init__(
        self,
        access: Callable[[], Awaitable[Access]],
        *,
        is_private: bool,
        throttle: LoginThrottle | None = None,
        clock: Clock | None = None,
    ) -> None:
        """Let in whom `access` names.

        :param access: returns who is let in at the moment; raises `RefusedError` if that is not known.
        :param is_private: whether the address is a unix socket.
        """
        self._access = access
        self._is_private = is_private
        self._throttle = throttle or LoginThrottle()
        self._clock = clock or SystemClock()
        self._recent: tuple[float, Access] | None = None
        self.on_close: set[Callable[[], None]] = set()
        """Called when the address is about to be closed: by responses that would not end by themselves."""

    def close(self) -> None:
        """Have responses end that would not end by themselves."""
        for end in tuple(self.on_close):
            end()

    async def admit(self, request: web.BaseRequest) -> Caller:
        """Return who sends a request, and keep the connection of who is known.

        :raises RefusedError: the caller is not known, or a page of another origin has caused it.
        """
        caller = await self._caller_of(request)
        if caller.how != ANONYMOUS.how:
            keep_connection(request)
        return caller

    async def _caller_of(self, request: web.BaseRequest) -> Caller:
        fields = request.headers
        refusal = browser_refusal(
            request.method, fields.get("Host"), fields.get("Origin"), fields.get("Sec-Fetch-Site")
        )
        if refusal is not None:
            raise RefusedError(403, "cross-site", refusal)
        if self._is_private and is_same_user(request.transport):
            return Caller("local", "editor", "socket", may_tail=True)
        text = bearer_of(fields.get("Authorization"))
        if text is None:
            return await self._without_token(request)
        if not self._is_private and not _is_secure(request.transport):
            # It has been read on the way already: an operator has to learn that, whatever the token is worth.
            detail = "tokens are refused over plain HTTP that is not loopback: make another one, and use TLS"
            raise RefusedError(403, "token-over-plain-http", detail)
        return await self._by_token(request, text)

    async def why_refused(self, request: web.BaseRequest, caller: Caller) -> str:
        """Return why a caller that was let in is let in no more, or has other rights; empty if nothing has changed.

        What is known of tokens may be a second old.
        """
        if caller.how == "socket":
            return ""
        now = self._clock.monotonic()
        try:
            if self._recent is None or now - self._recent[0] >= RECENT:
                self._recent = now, await self._access()
            access = self._recent[1]
            text = bearer_of(request.headers.get("Authorization"))
            if text is None:
                return "" if self._anonymous(request, access) == caller else "rights-changed"
        except RefusedError as error:
            return error.code
        found = caller_of_token(text, access.tokens, self._clock.wall())
        if found is not None:
            return "" if found == caller else "rights-changed"
        return "token-revoked" if caller_of_token(text, access.tokens, -math.inf) is None else "token-expired"

    async def _without_token(self, request: web.BaseRequest) -> Caller:
        return self._anonymous(request, await self._access())

    def _anonymous(self, request: web.BaseRequest, access: Access) -> Caller:
        certificate = _peer_certificate(request.transport)
        if certificate:
            caller = caller_of_certificate(certificate, access.clients)
            if caller is not None:
                return caller
        if access.takes_anonymous or self._is_private:
            return ANONYMOUS
        raise _unauthorized("a token is needed: send Authorization: Bearer TOKEN")

    async def _by_token(self, request: web.BaseRequest, text: str) -> Caller:
        now, address = self._clock.monotonic(), "" if self._is_private else request.remote or ""
        wait = self._throttle.wait(address, now)
        if wait:
            seconds = math.ceil(wait)
            headers = {"Retry-After": str(seconds)}
            raise RefusedError(429, "too-many-logins", f"too many failed logins: try again in {seconds} s", headers)
        caller = caller_of_token(text, (await self._access()).tokens, self._clock.wall())
        if caller is None:
            self._throttle.note_failure(address, now)
            text = f"a login at the admin listener failed from {address or 'a unix socket'}"
            emit(ADMIN_LOGIN_FAILED, text, client=address or "unix")
            raise _unauthorized("the token is unknown, has expired or was revoked")
        return caller


def check_role(caller: Caller, role: AdminRole) -> None:
    """Refuse what a caller may not do.

    :raises RefusedError: the caller has a lesser role.
    """
    if caller.may(role):
        return
    if caller.how == "anonymous":
        detail = f"operations need a token with the role {role} (gateway admin token new), or the control socket"
        raise RefusedError(403, "forbidden", detail)
    raise RefusedError(403, "forbidden", f"{caller.name} has the role {caller.role}, and this needs {role}")


def _unauthorized(detail: str) -> RefusedError:
    return RefusedError(401, "unauthorized", detail, {"WWW-Authenticate": 'Bearer realm="gateway"'})


def is_same_user(transport: asyncio.BaseTransport | None) -> bool:
    """Whether the peer of a unix socket is a process of this user or root, as the system says."""
    sock = None if transport is None else transport.get_extra_info("socket")
    if sock is None or sock.family != socket.AF_UNIX:
        return False
    option = getattr(socket, "SO_PEERCRED", None)
    if option is None:  # elsewhere than on Linux the mode of the socket's file decides
        return True
    # uvloop's sockets know their number only.
    with socket.fromfd(sock.fileno(), socket.AF_UNIX, socket.SOCK_STREAM) as copy:
        _, user, _ = _CREDENTIALS.unpack(copy.getsockopt(socket.SOL_SOCKET, option, _CREDENTIALS.size))
    return user in {os.geteuid(), 0}


def _is_secure(transport: asyncio.BaseTransport | None) -> bool:
    """Whether what comes over a connection cannot be read on the way: TLS, or loopback at both ends."""
    if transport is None:
        return False
    if transport.get_extra_info("sslcontext") is not None:
        return True
    ends = transport.get_extra_info("sockname"), transport.get_extra_info("peername")
    return all(isinstance(end, tuple) and _is_loopback(str(end[0])) for end in ends)


def _is_loopback(address: str) -> bool:
    parsed = ip_address(address.partition("%")[0])
    mapped = getattr(parsed, "ipv4_mapped", None)
    return bool((mapped or parsed).is_loopback)


def _peer_certificate(transport: asyncio.BaseTransport | None) -> dict[str, Any]:
    found = None if transport is None else transport.get_extra_info("peercert")
    return found or {}
