"""TLS contexts that workers inherit, so that each can read the session tickets of the others.

OpenSSL encrypts session tickets (RFC 5077, RFC 8446 section 4.6.1) with random keys that a context gets when it is
made, and Python has no call that reads or sets them. A client that comes to another worker than the last time would
shake hands in full. So blank contexts are made in the process that workers are forked from (`gateway_core.process.
template`): their copies in the workers have the same keys, and each worker gives its copy the settings of a listener.

Which context is whose is written in memory that the workers share: each belongs to the digest of a listener's files
and settings, the same in every process. It is never used for anything else, so no session is resumed under settings
that it did not begin with. When all of them are used up, listeners get contexts of their own, with keys of their own.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from gateway_core.process.child import scratch_file

COUNT: Final = 32
"""Contexts, of 30 KiB each: as many times can certificates or settings change until workers are forked again."""

_DIGEST_BYTES: Final = 32
_FREE: Final = bytes(_DIGEST_BYTES)


class BaseContexts:
    """Blank server contexts, each for one digest; copied by a fork, they stay the same ones."""

    def __init__(self, count: int = COUNT) -> None:
        self._contexts = [ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER) for _ in range(count)]
        self._digests = mmap.mmap(-1, count * _DIGEST_BYTES)  # shared with children
        with scratch_file() as file:
            self.descriptor = os.dup(file.fileno())
            """Of a file that is locked while one of them is chosen; a child has to keep it open."""

    def claim(self, digest: str) -> ssl.SSLContext | None:
        """Return the context for a digest (SHA-256, in hexadecimal); None if no context is left."""
        wanted = bytes.fromhex(digest)
        with self._locked():
            for place, context in enumerate(self._contexts):
                start = place * _DIGEST_BYTES
                found = self._digests[start : start + _DIGEST_BYTES]
                if found == _FREE:
                    self._digests[start : start + _DIGEST_BYTES] = found = wanted
                if found == wanted:
                    return context
        return None

    @contextmanager
    def _locked(self) -> Iterator[None]:
        fcntl.lockf(self.descriptor, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.lockf(self.descriptor, fcntl.LOCK_UN)


class _Inherited:
    contexts: BaseContexts | None = None


_inherited: Final = _Inherited()


def provide() -> BaseContexts:
    """Make the contexts that the children of this process inherit, unless there are some."""
    if _inherited.contexts is None:
        _inherited.contexts = BaseContexts()
    return _inherited.contexts


def inherited() -> BaseContexts | None:
    """Return the contexts that this process has inherited; None if it was not forked by one that had made them."""
    return _inherited.contexts
