"""What looking at a request's credentials gives: a caller, a refusal, or something that must be waited for."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Protocol, TypeAlias

from gateway_plugin_sdk import Identity, Request

from gateway_plugin_auth.credentials import Source
from gateway_plugin_auth.refusals import Refusal


def verified(
    subject: str, scheme: str, claims: Mapping[str, Any], fields: tuple[tuple[str, str], ...] = ()
) -> Verified:
    """Return a caller whose claims nobody can change: later requests with the same credentials get the same ones."""
    return Verified(Identity(subject, scheme, MappingProxyType(dict(claims))), fields)


@dataclass(slots=True)
class Verified:
    """A caller who may pass, with what the upstream is to know of it."""

    identity: Identity
    fields: tuple[tuple[str, str], ...] = ()
    """Header fields for the upstream."""


@dataclass(frozen=True, slots=True)
class Needs:
    """Work without which there is no outcome yet; after it, ask again."""

    work: Callable[[], Awaitable[None]]

    otherwise: Refusal
    """The refusal if the same work is still needed after it was done."""


Outcome: TypeAlias = Verified | Refusal | Needs


class Provider(Protocol):
    """Knows the callers of one configured provider."""

    challenges: tuple[str, ...]
    """The schemes of its challenges: ``Bearer``, ``DPoP``, ``ApiKey`` or ``Basic``."""

    header_names: tuple[str, ...]
    """Header fields that only it may set."""

    sources: tuple[Source, ...]
    """Where it looks for credentials."""

    def check(self, request: Request) -> Outcome:
        """Judge a request's credentials, without waiting for anything."""
        ...

    def hide(self, request: Request) -> None:
        """Take the credentials out of a request, if so configured."""
        ...

    async def start(self) -> None: ...

    async def stop(self) -> None: ...
