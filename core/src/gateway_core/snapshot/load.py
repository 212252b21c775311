"""Load a configuration with everything that can be found wrong with it, short of starting it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from gateway_core.config import ConfigError, Document, LoadedConfig, load_config
from gateway_core.plugins import Extensions, PluginRegistry, unreachable_bindings
from gateway_core.snapshot.checks import check_routes


def load(
    paths: Sequence[Path],
    *,
    registry: PluginRegistry,
    environ: Mapping[str, str],
    documents: Sequence[Document] = (),
) -> LoadedConfig:
    """Load and check the configuration at these paths: what ``gateway check`` does. Blocks.

    :param documents: more of it that is in no file.
    :raises ConfigError: with every problem that was found.
    """
    try:
        return _load(paths, registry, environ, documents, None)
    except ConfigError:
        # Only now are all plugins loaded: what they offer may be what was missing.
        return _load(paths, registry, environ, documents, Extensions(registry.loaded()))


def _load(
    paths: Sequence[Path],
    registry: PluginRegistry,
    environ: Mapping[str, str],
    documents: Sequence[Document],
    extensions: Extensions | None,
) -> LoadedConfig:
    return load_config(
        paths,
        environ=environ,
        catalog=registry,
        extra_documents=documents,
        extra_checks=[check_routes, unreachable_bindings(registry)],
        strategies=() if extensions is None else extensions.strategies.keys(),
        discoveries=() if extensions is None else extensions.discoveries.keys(),
    )
