"""What a line can say: the catalogue of fields and how their values are read."""

from gateway_plugin_logger.fields.catalogue import DEFAULT_FIELDS, FIELDS, Field
from gateway_plugin_logger.fields.lookup import LOOKUPS, FieldNameError, find_value
from gateway_plugin_logger.fields.value import Kind, Value

__all__ = ["DEFAULT_FIELDS", "FIELDS", "LOOKUPS", "Field", "FieldNameError", "Kind", "Value", "find_value"]
