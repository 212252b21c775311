"""Where configuration documents come from, and how the gateway learns that they changed."""

from gateway_core.config.documents import WatchSet
from gateway_core.config.source import (
    ConfigRoot,
    ConfigSource,
    SourceContext,
    SourceFactory,
    SourceState,
    SourceUrl,
    names_of,
    parse_root,
    paths_of,
    urls_of,
)
from gateway_core.config.sources.factories import BUILT_IN, UnknownSourceError, make_source, source_url
from gateway_core.config.sources.watcher import FileWatcher, Fingerprint, Seen

__all__ = [
    "BUILT_IN",
    "ConfigRoot",
    "ConfigSource",
    "FileWatcher",
    "Fingerprint",
    "Seen",
    "SourceContext",
    "SourceFactory",
    "SourceState",
    "SourceUrl",
    "UnknownSourceError",
    "WatchSet",
    "make_source",
    "names_of",
    "parse_root",
    "paths_of",
    "source_url",
    "urls_of",
]
