"""Compression of responses and decompression of requests for the gateway."""

from gateway_plugin_compress.plugin import Compress

__version__ = "0.1.0"

__all__ = ["Compress"]
