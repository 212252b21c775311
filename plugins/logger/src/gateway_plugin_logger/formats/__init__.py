"""How a line is written: JSON, logfmt, combined, common, a template, OpenTelemetry's records."""

from gateway_plugin_logger.formats.build import FormatError, build_renderer
from gateway_plugin_logger.formats.compiler import Renderer

__all__ = ["FormatError", "Renderer", "build_renderer"]
