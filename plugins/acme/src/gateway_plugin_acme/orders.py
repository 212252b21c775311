"""One certificate from an authority: order, proofs, validation, issuance."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final, TypeVar

from gateway_plugin_sdk import GatewayError

from gateway_plugin_acme.authority import Authority, AuthorityError, Authorization, Challenge, Order
from gateway_plugin_acme.crypto import certificate_request, check_issued, key_pem, new_key
from gateway_plugin_acme.names import Wanted
from gateway_plugin_acme.proofs import Proofs
from gateway_plugin_acme.renewal import next_look
from gateway_plugin_acme.thread import AuthorityThread

T = TypeVar("T")
LookedAtT = TypeVar("LookedAtT", Authorization, Order)

_PATIENCE: Final = 300.0
"""Seconds that an authority has to validate all names of an order, and as long to issue."""
_MOST_AUTHORIZATIONS: Final = 100
"""Of one order: as many as a certificate may have names."""
_FIRST_LOOK, _LAST_LOOK = 0.1, 5.0
"""Seconds between two looks at what the authority does: twice as long each time, unless it gives more."""
_PASSING: Final = frozenset({"", "serverInternal"})
"""Codes of errors that pass, see `AuthorityError`."""
_PAUSES_OF_A_FAULT: Final = (1.0, 2.0, 4.0, 8.0)
"""Seconds before each further look after such an error: the certificate may be issued, and counts in the limits."""


class NoLongerWantedError(GatewayError):
    """The names were removed while their order went on."""


class ForgottenError(GatewayError):
    """The names may have no certificate any more."""


async def obtain(
    thread: AuthorityThread,
    authority: Authority,
    wanted: Wanted,
    proofs: Proofs,
    *,
    key_kind: str,
    failures: int,
    replaces: bytes | None,
    is_wanted: Callable[[], bool],
    now: Callable[[], float],
) -> tuple[bytes, bytes]:
    """Return a chain and its key, both in PEM.

    :param failures: how often this has failed before, which lets another challenge have its turn.
    :param replaces: the chain that this renews.
    :param is_wanted: asked before the certificate is issued.
    :raises GatewayError: something went wrong; the text says what.
    """
    try:
        order = await thread.run(authority.new_order, wanted.names, replaces)
    except AuthorityError as error:
        if replaces is None or error.code not in {"alreadyReplaced", "conflict", "malformed"}:
            raise
        # Another order has replaced it already, or the authority knows nothing of it (RFC 9773 section 5).
        order = await thread.run(authority.new_order, wanted.names)
    try:
        await _prove(thread, authority, order, proofs, failures)
    finally:
        await proofs.remove()
    if not is_wanted():
        raise NoLongerWantedError(f"{wanted} is no longer wanted")
    key = await asyncio.to_thread(new_key, key_kind)
    chain = await _issue(thread, authority, order, certificate_request(wanted.names, key))
    pem = key_pem(key)
    check_issued(chain, pem, wanted.names, now())
    return chain, pem


async def _prove(thread: AuthorityThread, authority: Authority, order: Order, proofs: Proofs, failures: int) -> None:
    if len(order.authorizations) > _MOST_AUTHORIZATIONS:
        raise AuthorityError(f"the authority asks for {len(order.authorizations)} authorizations of one order")
    pending: dict[str, Challenge] = {}
    for url in order.authorizations:
        authorization = await thread.run(authority.authorization, url)
        if authorization.status != "valid":  # of an earlier order (section 7.5)
            pending[url] = proofs.choose(authorization, failures)
            await proofs.give(authorization, pending[url])
    await proofs.wait()
    async with _result_within(_PATIENCE):
        for challenge in pending.values():
            await thread.run(authority.begin_validation, challenge)
        for url in pending:
            await _until(lambda url=url: thread.run(authority.authorization, url), _is_validated)  # type: ignore[misc]


def _is_validated(authorization: Authorization) -> bool:
    if authorization.status in {"pending", "processing"}:
        return False
    if authorization.status != "valid":
        reason = authorization.error or f"the authorization is {authorization.status}"
        raise AuthorityError(f"{authorization.name}: {reason}", "unauthorized")
    return True


async def _issue(thread: AuthorityThread, authority: Authority, order: Order, request: bytes) -> bytes:
    async with _result_within(_PATIENCE):
        order = await _until(lambda: thread.run(authority.order, order.url), lambda each: each.status != "pending")
        if order.status == "ready":
            order = await thread.run(authority.finalize, order, request)
        issued = await _until(
            lambda: thread.run(authority.order, order.url),
            lambda each: each.status not in {"processing", "ready"},
            order,
        )
    if issued.status != "valid" or not issued.certificate:
        raise AuthorityError(f"the order is {issued.status}: {issued.error or 'the authority gives no reason'}")
    return await _in_spite_of_faults(lambda: thread.run(authority.certificate, issued))


async def _until(
    look: Callable[[], Awaitable[LookedAtT]], is_done: Callable[[LookedAtT], bool], first: LookedAtT | None = None
) -> LookedAtT:
    """Look again and again, and return what is done.

    :param first: what is known already.
    """
    pause, found = _FIRST_LOOK, await _in_spite_of_faults(look) if first is None else first
    while not is_done(found):
        await asyncio.sleep(next_look(pause, found.retry_after))
        found = await _in_spite_of_faults(look)
        pause = min(2 * pause, _LAST_LOOK)
    return found


async def _in_spite_of_faults(look: Callable[[], Awaitable[T]]) -> T:
    """Return what a look finds, after a few more where the authority is away or responds with garbage.

    :raises AuthorityError: the fault has not passed, or is of another kind.
    """
    for pause in _PAUSES_OF_A_FAULT:
        try:
            return await look()
        except AuthorityError as error:
            if error.code not in _PASSING:
                raise
        await asyncio.sleep(pause)
    return await look()


@asynccontextmanager
async def _result_within(seconds: float) -> AsyncIterator[None]:
    """Bound what an authority takes in all.

    :raises AuthorityError: it takes longer.
    """
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError as error:
        raise AuthorityError(f"the authority has not come to a result in {seconds:g} s") from error
