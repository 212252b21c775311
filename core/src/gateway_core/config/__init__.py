"""Configuration: documents in, a typed and checked configuration or every problem with its place out."""

from typing import TYPE_CHECKING, Any

from gateway_core.config.address import ListenAddress, Origin, parse_listen, parse_origin
from gateway_core.config.catalog import (
    ConfiguredFactory,
    PluginCatalog,
    PluginDescription,
    factory_config,
    factory_findings,
    option_findings,
)
from gateway_core.config.config_file import (
    ENVIRONMENT_KEY,
    PROGRAM_KEY,
    ConfigFile,
    DirectoryName,
    FileName,
    OptionalFileName,
    OutputFile,
    OutputFileOrStdout,
    UpstreamName,
    config_files,
    names_files,
)
from gateway_core.config.documents import Document, DocumentFormat
from gateway_core.config.loaded import LoadedConfig, config_version
from gateway_core.config.model_errors import model_problems
from gateway_core.config.models.admin import AdminConfig, AdminRole, AdminTlsConfig
from gateway_core.config.models.base import ConfigModel
from gateway_core.config.models.binding import (
    BindingConfig,
    ChainEntry,
    QuarantineConfig,
    WhenConfig,
    effective_chain,
    resolve_chain,
)
from gateway_core.config.models.conditions import AddressConditionConfig, ConditionConfig
from gateway_core.config.models.error_pages import ErrorPageConfig
from gateway_core.config.models.gateway import (
    DEFAULT_LISTEN,
    GatewayConfig,
    LimitsConfig,
    LogConfig,
    LogLevel,
    MetricsConfig,
)
from gateway_core.config.models.listen import (
    CertificateConfig,
    ClientAddressConfig,
    HttpsRedirectConfig,
    ListenConfig,
    ListenTlsConfig,
)
from gateway_core.config.models.own_response import RedirectConfig, RespondConfig
from gateway_core.config.models.resilience import (
    CircuitBreakerConfig,
    HealthCheckConfig,
    Http1Config,
    KeepaliveConfig,
    OutlierDetectionConfig,
    RetriesConfig,
    RouteTimeoutsConfig,
    TimeoutsConfig,
    UpstreamLimitsConfig,
)
from gateway_core.config.models.rewrite import (
    PathPolicyConfig,
    RewriteConfig,
    RewriteQueryConfig,
    RewriteResponseConfig,
    RoutePathPolicyConfig,
)
from gateway_core.config.models.route import (
    MirrorConfig,
    RouteConfig,
    WeightedTargetConfig,
    is_url,
)
from gateway_core.config.models.upstream import (
    DiscoveryConfig,
    DnsDiscoveryConfig,
    EndpointConfig,
    StickyCookieConfig,
    UpstreamConfig,
    UpstreamTlsConfig,
)
from gateway_core.config.problems import (
    ConfigError,
    ConfigFinding,
    ConfigProblem,
    KeyPath,
    Place,
    PlaceOf,
    Severity,
    format_path,
    problem_as_json,
    problem_from_json,
    problem_to_json,
    render_problems,
    sort_problems,
)
from gateway_core.config.schema_errors import SchemaValidator
from gateway_core.config.secret import Secret, SecretHeaderValue, SecretUrl
from gateway_core.config.statuses import StatusRange
from gateway_core.config.suggestions import did_you_mean
from gateway_core.config.values import (
    Count,
    Duration,
    HeaderName,
    HeaderValue,
    Integer,
    InvalidValueError,
    IpNetwork,
    Method,
    Name,
    Number,
    Percent,
    Port,
    PositiveCount,
    PositiveDuration,
    Ratio,
    Regex,
    Size,
    Switch,
    TrustedPeer,
    Weight,
    parse_duration,
    parse_network,
    parse_size,
)

if TYPE_CHECKING:
    from gateway_core.config.load import ExtraCheck, load_config
    from gateway_core.config.schema import config_schema

__all__ = [
    "DEFAULT_LISTEN",
    "ENVIRONMENT_KEY",
    "PROGRAM_KEY",
    "AddressConditionConfig",
    "AdminConfig",
    "AdminRole",
    "AdminTlsConfig",
    "BindingConfig",
    "CertificateConfig",
    "ChainEntry",
    "CircuitBreakerConfig",
    "ClientAddressConfig",
    "ConditionConfig",
    "ConfigError",
    "ConfigFile",
    "ConfigFinding",
    "ConfigModel",
    "ConfigProblem",
    "ConfiguredFactory",
    "Count",
    "DirectoryName",
    "DiscoveryConfig",
    "DnsDiscoveryConfig",
    "Document",
    "DocumentFormat",
    "Duration",
    "EndpointConfig",
    "ErrorPageConfig",
    "ExtraCheck",
    "FileName",
    "GatewayConfig",
    "HeaderName",
    "HeaderValue",
    "HealthCheckConfig",
    "Http1Config",
    "HttpsRedirectConfig",
    "Integer",
    "InvalidValueError",
    "IpNetwork",
    "KeepaliveConfig",
    "KeyPath",
    "LimitsConfig",
    "ListenAddress",
    "ListenConfig",
    "ListenTlsConfig",
    "LoadedConfig",
    "LogConfig",
    "LogLevel",
    "Method",
    "MetricsConfig",
    "MirrorConfig",
    "Name",
    "Number",
    "OptionalFileName",
    "Origin",
    "OutlierDetectionConfig",
    "OutputFile",
    "OutputFileOrStdout",
    "PathPolicyConfig",
    "Percent",
    "Place",
    "PlaceOf",
    "PluginCatalog",
    "PluginDescription",
    "Port",
    "PositiveCount",
    "PositiveDuration",
    "QuarantineConfig",
    "Ratio",
    "RedirectConfig",
    "Regex",
    "RespondConfig",
    "RetriesConfig",
    "RewriteConfig",
    "RewriteQueryConfig",
    "RewriteResponseConfig",
    "RouteConfig",
    "RoutePathPolicyConfig",
    "RouteTimeoutsConfig",
    "SchemaValidator",
    "Secret",
    "SecretHeaderValue",
    "SecretUrl",
    "Severity",
    "Size",
    "StatusRange",
    "StickyCookieConfig",
    "Switch",
    "TimeoutsConfig",
    "TrustedPeer",
    "UpstreamConfig",
    "UpstreamLimitsConfig",
    "UpstreamName",
    "UpstreamTlsConfig",
    "Weight",
    "WeightedTargetConfig",
    "WhenConfig",
    "config_files",
    "config_schema",
    "config_version",
    "did_you_mean",
    "effective_chain",
    "factory_config",
    "factory_findings",
    "format_path",
    "is_url",
    "load_config",
    "model_problems",
    "names_files",
    "option_findings",
    "parse_duration",
    "parse_listen",
    "parse_network",
    "parse_origin",
    "parse_size",
    "problem_as_json",
    "problem_from_json",
    "problem_to_json",
    "render_problems",
    "resolve_chain",
    "sort_problems",
]


def __getattr__(name: str) -> Any:
    """Import what reads and checks documents when somebody does: a process that only serves needs no YAML."""
    if name in {"ExtraCheck", "load_config"}:
        from gateway_core.config import load  # noqa: PLC0415

        return getattr(load, name)
    if name == "config_schema":
        from gateway_core.config.schema import config_schema  # noqa: PLC0415

        return config_schema
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
