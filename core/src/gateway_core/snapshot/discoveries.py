"""Configurations of the discoveries that extensions provide: each is made once, so that its own checks run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from random import Random
from typing import TYPE_CHECKING, NoReturn

from gateway_core.clock import SystemClock
from gateway_core.config import ConfigProblem, GatewayConfig, PlaceOf
from gateway_core.upstreams import DiscoveryContext, DiscoveryFactory

if TYPE_CHECKING:
    from gateway_core.config import ExtraCheck


def check_discoveries(factories: Mapping[str, DiscoveryFactory]) -> ExtraCheck:
    """Return a check that finds configurations which a discovery refuses.

    Nothing is watched: a discovery connects only when it is (`Discovery.watch`).
    """

    def check(config: GatewayConfig, place_of: PlaceOf) -> Iterator[ConfigProblem]:
        for index, upstream in enumerate(config.upstreams):
            discovery = upstream.discovery
            factory = None if discovery is None else factories.get(discovery.name)
            if discovery is None or factory is None:
                continue
            try:
                factory(discovery.config, _context(upstream.name))
            except Exception as error:  # noqa: BLE001 - the extension's own code
                key_path = f"upstreams[{index}].discovery.config"
                code = "file.missing" if _comes_of_a_missing_file(error) else "discovery.config-invalid"
                message = str(error) if isinstance(error, ValueError) else f"the discovery fails on it: {error!r}"
                yield ConfigProblem(place_of(key_path), key_path, message, code=code)

    return check


def _comes_of_a_missing_file(error: BaseException | None) -> bool:
    # Also where the extension raised its own error ``from None``: then only the context tells.
    while error is not None and not isinstance(error, FileNotFoundError):
        error = error.__cause__ or error.__context__
    return error is not None


def _context(upstream: str) -> DiscoveryContext:
    return DiscoveryContext(upstream, SystemClock(), Random(), _refuse)  # noqa: S311  # spreads load, keeps no secret


def _refuse() -> NoReturn:
    raise RuntimeError("a discovery calls its registry only while it is watched")
