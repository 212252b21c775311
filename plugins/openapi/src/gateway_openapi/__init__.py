"""OpenAPI documents, read with bounds: what the plugins mock and validate share."""

__version__ = "0.1.0"
