"""The public contract of the gateway, for plugins: import from here and from nowhere below.

What ``__all__`` lists is stable by semantic versioning.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gateway_core.backoff import Backoff
    from gateway_core.client_tls import client_tls_context
    from gateway_core.clock import Clock
    from gateway_core.config import (
        ConfigFile,
        ConfigFinding,
        ConfigModel,
        DirectoryName,
        Document,
        DocumentFormat,
        Duration,
        FileName,
        HeaderName,
        HeaderValue,
        IpNetwork,
        Method,
        OutputFile,
        OutputFileOrStdout,
        Secret,
        SecretHeaderValue,
        SecretUrl,
        Size,
        StatusRange,
        UpstreamName,
    )
    from gateway_core.config.sources import ConfigSource, SourceContext, SourceFactory, SourceState, SourceUrl
    from gateway_core.errors import (
        BadBodyError,
        BadPathError,
        BodyTooLargeError,
        GatewayError,
        ShadowModeError,
        TextTooLongError,
        UpstreamError,
    )
    from gateway_core.hooks import (
        Certificate,
        CertificateContext,
        CertificateFactory,
        CertificateSource,
        ChallengeResponder,
        CheckedSource,
        CommandError,
        Fetched,
        HostsInForce,
        IssuanceReporter,
        IssuanceStatus,
        OnDemandSource,
        Plugin,
        PluginContext,
        ServedHosts,
        Shared,
        SharedStoreFull,
        Upstreams,
        command,
        hookimpl_blocking,
    )
    from gateway_core.hookspecs import ENTRY_POINT_GROUP, hookimpl
    from gateway_core.messages import (
        MISSING,
        Attempt,
        BodyFilter,
        ClaimReader,
        EarlyHead,
        EarlyPass,
        FieldBlock,
        FieldNames,
        FieldTemplate,
        HeaderError,
        Headers,
        HeadersKey,
        Identity,
        ReceivedHead,
        Record,
        Request,
        Response,
        RouteInfo,
        TlsInfo,
        UpstreamAttempt,
        claim_path,
    )
    from gateway_core.messages.addresses import client_network
    from gateway_core.messages.secret_queries import SECRET_PARAMETERS, make_query_mask
    from gateway_core.messages.trace import TraceContext
    from gateway_core.metrics import Metrics
    from gateway_core.regex import Match, Pattern, ReplacePattern, SearchPattern
    from gateway_core.tasks import Tasks, spawn
    from gateway_core.upstreams import (
        Candidates,
        Discovered,
        Discovery,
        DiscoveryContext,
        DiscoveryFactory,
        Endpoint,
        EndpointSpec,
        EndpointStatus,
        Strategy,
        StrategyFactory,
    )

__version__ = "0.1.0"

__all__ = [
    "ENTRY_POINT_GROUP",
    "MISSING",
    "SECRET_PARAMETERS",
    "Attempt",
    "Backoff",
    "BadBodyError",
    "BadPathError",
    "BodyFilter",
    "BodyTooLargeError",
    "Candidates",
    "Certificate",
    "CertificateContext",
    "CertificateFactory",
    "CertificateSource",
    "ChallengeResponder",
    "CheckedSource",
    "ClaimReader",
    "Clock",
    "CommandError",
    "ConfigFile",
    "ConfigFinding",
    "ConfigModel",
    "ConfigSource",
    "DirectoryName",
    "Discovered",
    "Discovery",
    "DiscoveryContext",
    "DiscoveryFactory",
    "Document",
    "DocumentFormat",
    "Duration",
    "EarlyHead",
    "EarlyPass",
    "Endpoint",
    "EndpointSpec",
    "EndpointStatus",
    "Fetched",
    "FieldBlock",
    "FieldNames",
    "FieldTemplate",
    "FileName",
    "GatewayError",
    "HeaderError",
    "HeaderName",
    "HeaderValue",
    "Headers",
    "HeadersKey",
    "HostsInForce",
    "Identity",
    "IpNetwork",
    "IssuanceReporter",
    "IssuanceStatus",
    "Match",
    "Method",
    "Metrics",
    "OnDemandSource",
    "OutputFile",
    "OutputFileOrStdout",
    "Pattern",
    "Plugin",
    "PluginContext",
    "ReceivedHead",
    "Record",
    "ReplacePattern",
    "Request",
    "Response",
    "RouteInfo",
    "SearchPattern",
    "Secret",
    "SecretHeaderValue",
    "SecretUrl",
    "ServedHosts",
    "ShadowModeError",
    "Shared",
    "SharedStoreFull",
    "Size",
    "SourceContext",
    "SourceFactory",
    "SourceState",
    "SourceUrl",
    "StatusRange",
    "Strategy",
    "StrategyFactory",
    "Tasks",
    "TextTooLongError",
    "TlsInfo",
    "TraceContext",
    "UpstreamAttempt",
    "UpstreamError",
    "UpstreamName",
    "Upstreams",
    "claim_path",
    "client_network",
    "client_tls_context",
    "command",
    "hookimpl",
    "hookimpl_blocking",
    "make_query_mask",
    "spawn",
]

_HOMES = (
    "gateway_core.hookspecs",
    "gateway_core.clock",
    "gateway_core.errors",
    "gateway_core.regex",
    "gateway_core.tasks",
    "gateway_core.metrics",
    "gateway_core.backoff",
    "gateway_core.client_tls",
    "gateway_core.messages",
    "gateway_core.messages.addresses",
    "gateway_core.messages.secret_queries",
    "gateway_core.messages.trace",
    "gateway_core.hooks",
    "gateway_core.config",
    "gateway_core.config.sources",
    "gateway_core.upstreams",
)
"""Where the names are at home; the cheapest to import come first."""

_RENAMED = {"BodyTransform": "BodyFilter", "Pauses": "Backoff"}
"""Names of earlier versions; ``gateway check`` shows the error."""

if not TYPE_CHECKING:
    # pytest imports this package wherever it is installed, for the fixtures: the core comes when somebody needs it.
    def __getattr__(name: str) -> Any:
        if name in __all__:
            for home in map(import_module, _HOMES):
                if hasattr(home, name):
                    globals()[name] = getattr(home, name)
                    return globals()[name]
        if name in _RENAMED:
            raise ImportError(f"{__name__}.{name} is gone: use {_RENAMED[name]}", name=__name__)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
