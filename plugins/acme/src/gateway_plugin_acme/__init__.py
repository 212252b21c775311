"""Certificates of listeners from an ACME authority such as Let's Encrypt (RFC 8555)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from gateway_plugin_sdk import CertificateFactory, hookimpl

if TYPE_CHECKING:
    import click

__version__ = "0.1.0"

__all__ = ["gateway_certificates", "gateway_commands"]


@hookimpl
def gateway_certificates() -> Mapping[str, CertificateFactory]:
    """Offer ``tls: {certificates: [{name: acme, config: {...}}]}``."""
    from gateway_plugin_acme.source import AcmeSource  # noqa: PLC0415 - only a listener that names it needs the library

    return {"acme": AcmeSource}


@hookimpl
def gateway_commands() -> Sequence[click.Command]:
    """Offer ``gateway certs``."""
    from gateway_plugin_acme.commands import certs  # noqa: PLC0415 - likewise

    return [certs]
