"""Where configuration documents come from, and how the gateway learns that they changed."""

from gateway_core.config.sources.fingerprint import Fingerprint, WatchSet
from gateway_core.config.sources.watcher import FileWatcher

__all__ = ["FileWatcher", "Fingerprint", "WatchSet"]
