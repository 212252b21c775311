"""Load a configuration with everything that can be found wrong with it, short of starting it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from gateway_core.config import ConfigError, ConfigProblem, Document, GatewayConfig, LoadedConfig, PlaceOf
from gateway_core.packages import PluginRegistry
from gateway_core.snapshot.checks import check_addresses, check_params, check_placeholders, check_routes
from gateway_core.snapshot.effects import check_effects
from gateway_core.snapshot.hazards import check_hazards, unreachable_bindings

if TYPE_CHECKING:
    from gateway_core.config import ExtraCheck
    from gateway_core.packages import Extensions


def load(
    paths: Sequence[Path],
    *,
    registry: PluginRegistry,
    environ: Mapping[str, str],
    documents: Sequence[Document] = (),
    offline: bool = False,
    is_partial: bool = False,
    patience: float = 0.0,
) -> LoadedConfig:
    """Load and check the configuration at these paths: what ``gateway check`` does. Blocks.

    :param documents: more of it that is in no file.
    :param offline: files that are missing are warnings.
    :param is_partial: there are further documents, which may define the names that these refer to.
    :param patience: seconds for which a file that is empty or cut off is read again, since it may be being written.
    :raises ConfigError: with every problem that was found.
    """
    attempt = partial(
        _load, paths, registry, environ, documents, offline=offline, is_partial=is_partial, patience=patience
    )
    try:
        return attempt(None)
    except ConfigError as error:
        names = _missing_names(error)
        if not names:
            raise
    from gateway_core.packages import Extensions  # noqa: PLC0415 - most configurations need none

    # What extensions offer may be what was missing. To load all that is installed takes seconds, so those that are
    # named like it come first.
    try:
        return attempt(Extensions(registry.loaded(names)))
    except ConfigError as error:
        if not _missing_names(error):
            raise
    return attempt(Extensions(registry.loaded()))


_OFFERED: Final = frozenset(
    {"certificates.unknown", "discovery.not-installed", "source.not-installed", "strategy.not-installed"}
)
"""Codes of problems with names that an extension may offer."""


def _missing_names(error: ConfigError) -> set[str]:
    """Return the names in a configuration that an extension may offer, as they are written there."""
    values = {problem.value or "" for problem in error.problems if problem.code in _OFFERED}
    return {value.partition("://")[0] for value in values}  # of a source the scheme


def _load(
    paths: Sequence[Path],
    registry: PluginRegistry,
    environ: Mapping[str, str],
    documents: Sequence[Document],
    extensions: Extensions | None,
    *,
    offline: bool,
    is_partial: bool,
    patience: float,
) -> LoadedConfig:
    from gateway_core.config.load import load_config  # noqa: PLC0415 - a process that only serves reads no documents

    return load_config(
        paths,
        environ=environ,
        catalog=registry,
        extra_documents=documents,
        extra_checks=[
            check_routes,
            _check_redirects,
            unreachable_bindings(registry),
            check_params(registry),
            check_placeholders,
            _check_protection(registry),
            check_effects,
            check_hazards(registry),
            check_addresses,
            _check_sources(extensions),
            *([] if extensions is None else [_factories_check(extensions)]),
        ],
        strategies=() if extensions is None else extensions.strategies.keys(),
        discoveries=() if extensions is None else extensions.discoveries.keys(),
        factories={} if extensions is None else extensions.factories(),
        offline=offline,
        is_partial=is_partial,
        patience=patience,
    )


def _check_redirects(config: GatewayConfig, place_of: PlaceOf) -> Iterable[ConfigProblem]:
    if all(route.redirect is None for route in config.routes):
        return ()
    from gateway_core.snapshot.redirects import check_redirect_gaps, check_redirects  # noqa: PLC0415 - as here

    return (*check_redirects(config, place_of), *check_redirect_gaps(config, place_of))


def _check_protection(registry: PluginRegistry) -> ExtraCheck:
    def check(config: GatewayConfig, place_of: PlaceOf) -> Iterable[ConfigProblem]:
        of_routes = (bool(route.plugins) or any(each.plugins for each in route.targets) for route in config.routes)
        if not (config.plugins or any(of_routes)):
            return ()
        from gateway_core.snapshot.protection import check_protection  # noqa: PLC0415 - only bindings protect

        return check_protection(registry)(config, place_of)

    return check


def _check_sources(extensions: Extensions | None) -> ExtraCheck:
    def check(config: GatewayConfig, place_of: PlaceOf) -> Iterable[ConfigProblem]:
        if not config.sources:
            return ()
        from gateway_core.snapshot.factories import check_sources  # noqa: PLC0415 - only where sources are named

        return check_sources({} if extensions is None else extensions.config_sources)(config, place_of)

    return check


def _factories_check(extensions: Extensions) -> ExtraCheck:
    from gateway_core.snapshot.factories import check_factories  # noqa: PLC0415 - only where extensions are named

    return check_factories(extensions.discoveries, extensions.strategies, extensions.certificates)
