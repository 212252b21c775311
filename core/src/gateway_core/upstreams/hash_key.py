"""What a request is hashed on, compiled from ``hash_on``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol
from urllib.parse import parse_qsl


class _Fields(Protocol):
    def get(self, name: str, /) -> str | None: ...


class _Params(Protocol):
    def get(self, name: str, /) -> str | None: ...


class KeySource(Protocol):
    """The parts of a request that a key may be taken from; ``Request`` has them."""

    @property
    def client_ip(self) -> str: ...

    @property
    def headers(self) -> _Fields: ...

    @property
    def path_params(self) -> _Params: ...

    @property
    def query_string(self) -> str: ...

    def cookie(self, name: str, /) -> str | None: ...


KeyFunction = Callable[[KeySource], str | None]


def compile_hash_key(hash_on: Sequence[str]) -> KeyFunction | None:
    """Return the function that finds a request's key, or None for an empty ``hash_on``.

    The key is the first of the sources that the request has, with a value; None if it has none of them.

    :param hash_on: ``client_ip``, ``header:NAME``, ``cookie:NAME``, ``query:NAME`` or ``param:NAME``, one or several.
    :raises ValueError: for anything else, quoting it.
    """
    if not hash_on:
        return None
    functions = [_compile_source(source) for source in hash_on]
    if len(functions) == 1:
        return functions[0]
    return lambda request: next((key for function in functions if (key := function(request))), None)


def _compile_source(source: str) -> KeyFunction:
    kind, _, name = source.partition(":")
    if source == "client_ip":
        return _client_ip
    make = _BY_KIND.get(kind)
    if make is None or not name:
        raise ValueError(f"{source!r} is not client_ip, header:NAME, cookie:NAME, query:NAME or param:NAME")
    return make(name)


def _client_ip(request: KeySource) -> str | None:
    return request.client_ip or None


def _header(name: str) -> KeyFunction:
    return lambda request: request.headers.get(name) or None


def _cookie(name: str) -> KeyFunction:
    return lambda request: request.cookie(name) or None


def _param(name: str) -> KeyFunction:
    return lambda request: request.path_params.get(name) or None


def _query(name: str) -> KeyFunction:
    def key(request: KeySource) -> str | None:
        # The first of several, as most frameworks read it; capped, because the client decides how many there are.
        pairs = parse_qsl(request.query_string[:8192], keep_blank_values=True) if request.query_string else ()
        return next((value for found, value in pairs if found == name and value), None)

    return key


_BY_KIND: dict[str, Callable[[str], KeyFunction]] = {
    "header": _header,
    "cookie": _cookie,
    "query": _query,
    "param": _param,
}
