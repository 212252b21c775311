"""What a line must not say: credentials unless asked for, and whatever the configuration hides."""

from gateway_plugin_logger.redaction.fields import RedactedFields

__all__ = ["RedactedFields"]
