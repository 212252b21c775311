"""Specifications of the hooks that extensions implement once for the process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from gateway_core.hookspecs import hookspec

if TYPE_CHECKING:
    import click

    from gateway_core.config.sources import SourceFactory
    from gateway_core.hooks.certificates import CertificateFactory
    from gateway_core.upstreams.discovery import DiscoveryFactory
    from gateway_core.upstreams.strategies import StrategyFactory


class ProcessHooks:
    """Hooks that an extension (a module, or a plugin class as a static method) implements once for the process."""

    @hookspec
    def gateway_discovery(self) -> Mapping[str, DiscoveryFactory] | None:
        """Offer ways to find the endpoints of an upstream.

        Runs once when extensions are loaded.

        :returns: by the name that ``upstreams[].discovery.name`` uses, a class (see ``DiscoveryFactory``).
        """

    @hookspec
    def gateway_config_sources(self) -> Mapping[str, SourceFactory] | None:
        """Offer places that configuration documents come from.

        Runs once when extensions are loaded.

        :returns: by the scheme of the source's URL (``etcd`` for ``etcd://...``), a class (see ``SourceFactory``) whose
            ``config_model`` reads the options in the URL's query.
        """

    @hookspec
    def gateway_strategies(self) -> Mapping[str, StrategyFactory] | None:
        """Offer strategies of load balancing.

        Runs once when extensions are loaded.

        :returns: by the name that ``upstreams[].strategy`` uses, a class (see ``StrategyFactory``).
        """

    @hookspec
    def gateway_certificates(self) -> Mapping[str, CertificateFactory] | None:
        """Offer places that certificates of listeners come from.

        Runs once when extensions are loaded.

        :returns: by the name that ``listen[].tls.certificates[].name`` uses, a class (see ``CertificateFactory``).
        """

    @hookspec
    def gateway_commands(self) -> Sequence[click.Command] | None:
        """Offer commands of the ``gateway`` command line.

        Runs once when the command line starts.

        :returns: click commands; a name that is already taken is reported and left out.
        """
