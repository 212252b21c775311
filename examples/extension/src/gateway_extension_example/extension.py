"""What this package adds to the process: a strategy, a discovery, a source, certificates and a command."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import click
from gateway_plugin_sdk import CertificateFactory, DiscoveryFactory, SourceFactory, StrategyFactory, hookimpl

from gateway_extension_example.certificates_folder import CertificatesFolder
from gateway_extension_example.endpoints_file import EndpointsFile, read_endpoints
from gateway_extension_example.environment import EnvironmentSource
from gateway_extension_example.first_available import FirstAvailable


@hookimpl
def gateway_strategies() -> Mapping[str, StrategyFactory]:
    """Offer ``strategy: first-available``."""
    return {"first-available": FirstAvailable}


@hookimpl
def gateway_discovery() -> Mapping[str, DiscoveryFactory]:
    """Offer ``discovery: {name: endpoints-file, config: {file: PATH}}``."""
    return {"endpoints-file": EndpointsFile}


@hookimpl
def gateway_config_sources() -> Mapping[str, SourceFactory]:
    """Offer ``-c env://NAME``."""
    return {"env": EnvironmentSource}


@hookimpl
def gateway_certificates() -> Mapping[str, CertificateFactory]:
    """Offer ``tls: {certificates: [{name: certificates-folder, config: {folder: PATH}}]}``."""
    return {"certificates-folder": CertificatesFolder}


@hookimpl
def gateway_commands() -> Sequence[click.Command]:
    """Offer ``gateway endpoints``."""
    return [endpoints]


@click.command("endpoints", short_help="Print the endpoints that a file lists.")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
def endpoints(file: Path) -> None:
    """Print the endpoints that the endpoints-file discovery finds in FILE."""
    try:
        for spec in read_endpoints(file):
            click.echo(spec.url)
    except ValueError as error:
        click.echo(str(error), err=True)
        raise SystemExit(1) from None
