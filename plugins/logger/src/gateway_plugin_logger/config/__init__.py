"""The options of the logger."""

from gateway_plugin_logger.config.conditions import Conditions, Sampling
from gateway_plugin_logger.config.options import LoggerConfig
from gateway_plugin_logger.config.redaction import Redaction
from gateway_plugin_logger.config.sinks import (
    FileSink,
    HttpSink,
    OtlpSink,
    Queue,
    Retries,
    Rotation,
    SinkConfig,
    StderrSink,
    StdoutSink,
    SyslogSink,
    TlsOptions,
)

__all__ = [
    "Conditions",
    "FileSink",
    "HttpSink",
    "LoggerConfig",
    "OtlpSink",
    "Queue",
    "Redaction",
    "Retries",
    "Rotation",
    "Sampling",
    "SinkConfig",
    "StderrSink",
    "StdoutSink",
    "SyslogSink",
    "TlsOptions",
]
