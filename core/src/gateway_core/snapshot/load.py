"""Load a configuration with everything that can be found wrong with it, short of starting it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from gateway_core.config import ConfigError, ConfigProblem, Document, GatewayConfig, LoadedConfig, PlaceOf
from gateway_core.packages import PluginRegistry
from gateway_core.snapshot.checks import check_placeholders, check_routes
from gateway_core.snapshot.effects import check_effects

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
        extra_checks=[_checks(registry, extensions)],
        strategies=() if extensions is None else extensions.strategies.keys(),
        discoveries=() if extensions is None else extensions.discoveries.keys(),
        factories={} if extensions is None else extensions.factories(),
        offline=offline,
        is_partial=is_partial,
        patience=patience,
    )


def _checks(registry: PluginRegistry, extensions: Extensions | None) -> ExtraCheck:
    """Return the checks of a whole configuration, which import what few configurations have only for those."""

    def check(config: GatewayConfig, place_of: PlaceOf) -> Iterator[ConfigProblem]:
        yield from check_routes(config, place_of)
        yield from check_placeholders(config, place_of)
        yield from check_effects(config, place_of)
        if any(route.redirect is not None for route in config.routes):
            from gateway_core.snapshot.redirects import check_redirect_gaps, check_redirects  # noqa: PLC0415

            yield from check_redirects(config, place_of)
            yield from check_redirect_gaps(config, place_of)
        if has_bindings(config):
            from gateway_core.snapshot.bindings import check_bindings  # noqa: PLC0415
            from gateway_core.snapshot.protection import check_protection  # noqa: PLC0415

            yield from check_bindings(config, place_of, registry)
            yield from check_protection(config, place_of, registry)
        if config.sources or extensions is not None:
            from gateway_core.snapshot.factories import check_factories, check_sources  # noqa: PLC0415

            yield from check_sources({} if extensions is None else extensions.config_sources)(config, place_of)
            if extensions is not None:
                given = extensions.discoveries, extensions.strategies, extensions.certificates
                yield from check_factories(*given)(config, place_of)

    return check


def has_bindings(config: GatewayConfig) -> bool:
    """Return whether a configuration binds plugins, switched on or not."""
    of_routes = any(route.binds_plugins for route in config.routes)
    return bool(config.plugins) or of_routes or any(upstream.plugins for upstream in config.upstreams)
