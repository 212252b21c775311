"""Configurations of what extensions make by name: validated by its model, and made once so that its own checks run."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any, NoReturn

from gateway_core.clock import SystemClock
from gateway_core.config import (
    CertificateConfig,
    ConfigProblem,
    ConfiguredFactory,
    GatewayConfig,
    Place,
    PlaceOf,
    factory_config,
    factory_findings,
    format_path,
    option_findings,
)
from gateway_core.config.documents import comes_of_a_missing_file
from gateway_core.config.sources import BUILT_IN, SourceContext, SourceFactory, SourceUrl, make_source
from gateway_core.hooks import CertificateContext, CertificateFactory, CheckedSource, HostsInForce, ServedHosts
from gateway_core.snapshot.served_hosts import served_hosts
from gateway_core.upstreams import DiscoveryContext, DiscoveryFactory
from gateway_core.upstreams.strategies import StrategyFactory

if TYPE_CHECKING:
    from gateway_core.config import ExtraCheck


def check_factories(
    discoveries: Mapping[str, DiscoveryFactory],
    strategies: Mapping[str, StrategyFactory],
    certificates: Mapping[str, CertificateFactory],
) -> ExtraCheck:
    """Return a check that finds configurations which a discovery, a strategy or a source of certificates refuses.

    Nothing is watched: a discovery connects only when it is (`Discovery.watch`).
    """

    def check(config: GatewayConfig, place_of: PlaceOf) -> Iterator[ConfigProblem]:
        for index, upstream in enumerate(config.upstreams):
            discovery = upstream.discovery
            found = None if discovery is None else discoveries.get(discovery.name)
            if discovery is not None and found is not None:
                key_path, context = f"upstreams[{index}].discovery.config", _context(upstream.name)
                make = partial(_discovery, found, context)
                yield from _problems(found, discovery.config, make, key_path, place_of, "discovery.config-invalid")
            strategy = strategies.get(upstream.strategy)
            if strategy is not None:
                key_path = f"upstreams[{index}].strategy_options"
                yield from _problems(
                    strategy, upstream.strategy_options, strategy, key_path, place_of, "strategy.config-invalid"
                )
        for index, listen in enumerate(config.listen):
            entries = () if listen.tls is None else listen.tls.certificates
            for inner, entry in enumerate(entries):
                key_path = f"listen[{index}].tls.certificates[{inner}]"
                hosts = served_hosts([listen], config, place_of)
                yield from _certificate_problems(entry, listen.address, certificates, key_path, place_of, hosts)

    return check


def check_sources(extensions: Mapping[str, SourceFactory]) -> ExtraCheck:
    """Return a check that finds URLs under ``sources`` that their sources refuse; nothing is connected."""

    def check(config: GatewayConfig, place_of: PlaceOf) -> Iterator[ConfigProblem]:
        for index, entry in enumerate(config.sources):
            key_path = f"sources[{index}].url"
            place = place_of(key_path)
            url = replace(SourceUrl.parse(entry.url.reveal()), directory=Path(place.file).absolute().parent)
            factory = {**extensions, **BUILT_IN}.get(url.scheme)
            if factory is None:
                continue  # A scheme that nothing offers is a problem of its own.
            findings = option_findings(factory, url.options)
            for each in findings:
                yield ConfigProblem(place, key_path, each.message, code=each.code, remedy=each.remedy)
            if not findings:
                yield from _made_problems(url, extensions, place, key_path)

    return check


def _made_problems(
    url: SourceUrl, extensions: Mapping[str, SourceFactory], place: Place, key_path: str
) -> Iterator[ConfigProblem]:
    context = SourceContext(SystemClock(), Random(), os.environ, _refuse)  # noqa: S311 - spreads load, no secret
    try:
        make_source(url, context, extensions)
    except Exception as error:  # noqa: BLE001 - the extension's own code
        message = str(error) if isinstance(error, ValueError) else f"the extension fails on it: {error!r}"
        code = "file.missing" if comes_of_a_missing_file(error) else "source.invalid"
        yield ConfigProblem(place, key_path, message, code=code)


def _certificate_problems(
    entry: CertificateConfig,
    address: str,
    factories: Mapping[str, CertificateFactory],
    key_path: str,
    place_of: PlaceOf,
    hosts: ServedHosts,
) -> Iterator[ConfigProblem]:
    factory = None if entry.name is None else factories.get(entry.name)
    if factory is None:
        return  # A name that nothing offers is a problem of its own.
    in_force = HostsInForce(hosts)
    context = CertificateContext(address, SystemClock(), Random(), _refuse, in_force)  # noqa: S311 - no secret
    warnings: list[str] = []

    def make(config: Any) -> None:
        source = factory(config, context)
        if isinstance(source, CheckedSource):
            warnings.extend(source.warnings())

    key_path = f"{key_path}.config"
    yield from _problems(factory, entry.config, make, key_path, place_of, "certificates.config-invalid")
    for text in warnings:
        message, _, remedy = text.partition(": ")
        code = "certificates.unobtainable"
        yield ConfigProblem(place_of(key_path), key_path, message, code=code, remedy=remedy, severity="warning")


def _discovery(factory: DiscoveryFactory, context: DiscoveryContext, config: Any) -> object:
    return factory(config, context)


def _problems(
    factory: ConfiguredFactory,
    raw: Mapping[str, Any],
    make: Callable[[Any], object],
    key_path: str,
    place_of: PlaceOf,
    code: str,
) -> Iterator[ConfigProblem]:
    """Yield what the model refuses; if that is nothing, what the class itself refuses."""
    findings = factory_findings(factory, raw)
    for finding in findings:
        path = f"{key_path}.{format_path(finding.path)}" if finding.path else key_path
        yield ConfigProblem(place_of(path), path, finding.message, code=finding.code, remedy=finding.remedy)
    if findings:
        return
    try:
        make(factory_config(factory, raw))
    except Exception as error:  # noqa: BLE001 - the extension's own code
        message = str(error) if isinstance(error, ValueError) else f"the extension fails on it: {error!r}"
        code = "file.missing" if comes_of_a_missing_file(error) else code
        yield ConfigProblem(place_of(key_path), key_path, message, code=code)


def _context(upstream: str) -> DiscoveryContext:
    return DiscoveryContext(upstream, SystemClock(), Random(), _refuse)  # noqa: S311 - spreads load, no secret


def _refuse() -> NoReturn:
    raise RuntimeError("an extension connects only while it is watched")
