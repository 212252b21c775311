"""Where configuration documents come from, and how the gateway learns that they changed."""

from gateway_core.config.source_url import ConfigRoot, SourceUrl, parse_root, paths_of, urls_of
from gateway_core.config.sources.factories import BUILT_IN, UnknownSourceError, make_source
from gateway_core.config.sources.interface import ConfigSource, SourceContext, SourceFactory, SourceState
from gateway_core.config.sources.watcher import FileWatcher, Fingerprint, WatchSet

__all__ = [
    "BUILT_IN",
    "ConfigRoot",
    "ConfigSource",
    "FileWatcher",
    "Fingerprint",
    "SourceContext",
    "SourceFactory",
    "SourceState",
    "SourceUrl",
    "UnknownSourceError",
    "WatchSet",
    "make_source",
    "parse_root",
    "paths_of",
    "urls_of",
]
