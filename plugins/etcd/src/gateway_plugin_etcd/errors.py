"""What etcd, or the way to it, can do wrong."""

from __future__ import annotations

from gateway_plugin_sdk import GatewayError


class EtcdError(GatewayError):
    """A call that failed."""


class UnavailableError(EtcdError):
    """The member cannot be reached, or has no leader: another one may respond."""


class UnauthenticatedError(EtcdError):
    """The token is unknown, or too old: a new one may do."""


class CompactedError(EtcdError):
    """The history was thrown away from where the watch was to begin: everything has to be listed again."""
