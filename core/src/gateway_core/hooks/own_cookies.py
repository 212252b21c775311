"""Keep the cookies of a plugin from every upstream that is behind another binding, or behind none.

A browser sends a cookie with each request for its host and path, not only with those of the route whose binding set it.
So where a binding has `Plugin.own_cookies`, the chains of all other routes begin their pre-proxy phase with a hook that
removes them. The chain of the binding itself leaves that to the plugin, unless the binding may be passed over: then
such a hook comes last. The hooks belong to no binding of the configuration, and nothing of them exists where no plugin
has cookies.

A hook before that of the binding still has the cookies in the request. If it passes the request's fields on to a
service (`Upstreams.fetch`), the cookies of all bindings are removed there.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import Final

from gateway_core.clock import Clock
from gateway_core.hooks.binding import Binding
from gateway_core.hooks.chain import Chain, Hook
from gateway_core.hooks.failure_log import Faults
from gateway_core.hooks.plugin import Plugin, PluginContext
from gateway_core.messages import Headers, Request
from gateway_core.metrics import Metrics

_NAME: Final = "own-cookies"
_OWS: Final = " \t"


class CookieFilter:
    """Removes cookies from header fields."""

    __slots__ = ("_names", "_needles")

    def __init__(self, names: Iterable[str]) -> None:
        """Take the names.

        :param names: those that begin with one of these and a dot are meant as well.
        """
        self._names = tuple(sorted(names))
        self._needles = tuple(name.encode("latin-1") for name in self._names)

    def remove_from(self, headers: Headers) -> None:
        """Remove the cookies from a request's fields."""
        if (first := headers.get_bytes("cookie")) is None:
            return
        if headers.count("cookie") == 1 and not any(needle in first for needle in self._needles):
            return
        # HTTP/2 may part the field (RFC 9113 section 8.2.3).
        pairs = "; ".join(headers.get_all("cookie")).split(";")
        kept = [text for pair in pairs if (text := pair.strip(_OWS)) and not self._is_one(text)]
        if kept:
            headers["Cookie"] = "; ".join(kept)
        else:
            headers.pop("cookie", "")

    def _is_one(self, pair: str) -> bool:
        cookie = pair.partition("=")[0].strip(_OWS)
        return any(cookie == name or cookie.startswith(f"{name}.") for name in self._names)


class CookieRemoval(Plugin[None]):
    """Removes cookies from requests."""

    name = _NAME
    default_on_error = "deny"

    def __init__(self, context: PluginContext, names: Iterable[str]) -> None:
        super().__init__(None, context)
        self._filter = CookieFilter(names)

    def remove(self, request: Request) -> None:
        """Remove the cookies from what goes upstream."""
        self._filter.remove_from(request.headers)


class CookieRemovals:
    """Puts the hooks that remove cookies into chains."""

    def __init__(self, clock: Clock, metrics: Metrics) -> None:
        self._context = PluginContext(_NAME, None, clock, logging.getLogger("gateway.plugins.own-cookies"), metrics)

    def put_into(self, chains: Sequence[Chain]) -> CookieFilter:
        """Change the chains of one configuration, all of which have to be there.

        :returns: what removes the cookies of all bindings from what plugins fetch.
        """
        everything = {name for chain in chains for each in chain.variants for name in _names_of(each.bindings)}
        for chain in chains:
            variants = chain.variants
            own = {name for each in variants for name in _names_of(each.bindings)}
            self._put_first(chain, everything - own)
            for each in variants[1:]:
                self._put_first(each, own - _names_of(each.bindings))
            for each in variants[1:] or variants:
                self._put_last(each, _names_of(binding for binding in each.bindings if _may_be_passed_over(binding)))
        return CookieFilter(everything)

    def _put_first(self, chain: Chain, names: set[str]) -> None:
        if names:
            chain.pre_proxy = (self._hook(names), *chain.pre_proxy)

    def _put_last(self, chain: Chain, names: set[str]) -> None:
        if names:
            chain.pre_proxy = (*chain.pre_proxy, self._hook(names))

    def _hook(self, names: set[str]) -> Hook:
        instance = CookieRemoval(self._context, names)
        binding = Binding(_NAME, _NAME, "", None, "deny", "deny", None, False, instance, Faults())
        return Hook(instance.remove, binding, "gateway_pre_proxy")


def _names_of(bindings: Iterable[Binding]) -> set[str]:
    return {name for each in bindings for name in each.instance.own_cookies}


def _may_be_passed_over(binding: Binding) -> bool:
    """Return whether a request may go upstream although the binding's hook did not run, or not to its end."""
    is_strict = binding.on_error == binding.on_timeout == "deny" and binding.quarantine is None
    return binding.is_shadow or not is_strict or binding.when is not None
