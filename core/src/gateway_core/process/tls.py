"""TLS of the listeners at one address, with certificates that can be replaced while connections go on.

Listeners that share an address may differ in everything about TLS, client authentication included. CPython cannot
change ``verify_mode`` in a server-name callback, so the listener is chosen before TLS begins: `AddressTls.choose`
takes the server name of the ClientHello, which the acceptor has peeked at, and returns the context to begin with. The
choice decides nothing but TLS: requests go to the listener that their Host names, and one that asks for other client
certificates than those that the handshake saw is refused by the request's own part (421). So it does no harm that a
client sends one name here and another one there.

Each handshake begins with a *base* context of its listener, which holds no certificate and whose server-name callback
puts the context with the certificate in its place. OpenSSL keeps sessions (its cache and the keys of its tickets) in
the context that a handshake began with, the base, and leaves ``verify_mode``, options and versions at the base's
values when the callback puts another in its place. A resumed session shows no certificate again, so trust must never
outlive a base:

- what changed gets a new base with other keys, so nothing is resumed that began under other settings; what is the same
  has the same keys in every worker;
- where client certificates are asked for each handshake gets a base of its own, so nothing is resumed at all. Neither
  `OP_NO_TICKET` nor `num_tickets` would do: TLS 1.2 also resumes by session id from the context's cache, which Python
  cannot switch off.

OpenSSL encrypts session tickets (RFC 5077, RFC 8446 section 4.6.1) with random keys that a context gets when it is
made, and Python has no call that reads or sets them. A client that comes to another worker than the last time would
shake hands in full. So blank contexts are made in the process that workers are forked from (`BaseContexts`): their
copies in the workers have the same keys, and each worker gives its copy the settings of a listener. Which context is
whose is written in memory that the workers share: each belongs to the digest of a listener's files and settings, the
same in every process. It is never used for anything else, so no session is resumed under settings that it did not
begin with. When all of them are used up, listeners get contexts of their own, with keys of their own.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import ssl
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Final, NamedTuple

from gateway_core.config import ListenConfig
from gateway_core.process.certificates import Certificates, plain_context
from gateway_core.process.child import scratch_file
from gateway_core.snapshot.listeners import listener_tables


class ListenerTls:
    """TLS of one listener, with the certificates of one time."""

    def __init__(self, config: ListenConfig, certificates: Certificates, contexts: BaseContexts | None = None) -> None:
        """Begin with a base of its own.

        :param contexts: where the base comes from, if other workers are to have it as well.
        """
        self.config = config
        self.certificates = certificates
        for context in {certificates.default, *certificates.by_name.values()}:
            context.set_alpn_protocols(self._protocols)
        self._asks_for_certificates = certificates.config.verifies_clients != "none"
        shared = None if contexts is None or self._asks_for_certificates else contexts.claim(certificates.digest)
        self._base = self._new_base(shared)

    def base_context(self) -> ssl.SSLContext:
        """Return the context that the next handshake begins with."""
        return self._new_base() if self._asks_for_certificates else self._base

    def covers(self, server_name: str, host: str) -> bool:
        """Whether a Host is the name that a client asked for, or another one of the certificate that it was shown."""
        name, certificates = host.partition(":")[0].lower().rstrip("."), self.certificates
        if name == server_name.lower().rstrip("."):
            return True
        found = certificates.by_name.get(name) or certificates.by_name.get("*." + name.partition(".")[2])
        return found is not None and found is certificates.choose(server_name)

    @property
    def _protocols(self) -> list[str]:
        """What the listener speaks, the best first (RFC 7301)."""
        return ["h2", "http/1.1"] if self.config.http2 else ["http/1.1"]

    def _new_base(self, blank: ssl.SSLContext | None = None) -> ssl.SSLContext:
        certificates = self.certificates
        base = plain_context(certificates.config, blank)
        base.set_alpn_protocols(self._protocols)

        def on_server_name(
            connection: ssl.SSLObject | ssl.SSLSocket, server_name: str | None, _context: ssl.SSLContext
        ) -> ssl.AlertDescription | None:
            # Of the same generation as the base: its settings and the authorities belong together.
            chosen = certificates.choose(server_name)
            if chosen is None:
                return ssl.AlertDescription.ALERT_DESCRIPTION_UNRECOGNIZED_NAME
            connection.context = chosen
            return None

        base.sni_callback = on_server_name
        return base


class ChosenTls(NamedTuple):
    """What TLS begins with."""

    listener: ListenConfig
    context: ssl.SSLContext
    covers: Callable[[str], bool]
    """Whether a Host is the server name, or on the same certificate."""


class AddressTls:
    """TLS of the listeners that share an address."""

    def __init__(
        self, listeners: Sequence[tuple[ListenConfig, Certificates]], contexts: BaseContexts | None = None
    ) -> None:
        """Begin with these.

        :param contexts: those of all workers, if sessions that began in one are to be resumed in the others.
        """
        self._contexts = contexts
        self._listeners: list[ListenerTls] = []
        self.replace(listeners)

    @property
    def certificates(self) -> list[Certificates]:
        """Those in use."""
        return [listener.certificates for listener in self._listeners]

    def current(self, config: ListenConfig) -> Certificates | None:
        """Return the certificates of a listener with the same settings of TLS, whose contexts it may use; None if none.

        Protocols are a context's own, see `ListenerTls`.
        """
        for each in self._listeners:
            if each.config.tls == config.tls and each.config.http2 is config.http2:
                return each.certificates
        return None

    def replace(self, listeners: Sequence[tuple[ListenConfig, Certificates]]) -> None:
        """Use these from the next handshake on.

        Sessions that began before are resumed only with listeners whose files and settings are the same as they were.
        """
        kept = {listener.certificates.digest: listener for listener in self._listeners}
        self._listeners = [self._same_or_new(kept, *each) for each in listeners]
        tls_of = {id(listener.config): listener for listener in self._listeners}
        (self._table,) = listener_tables(
            [config for config, _ in listeners], lambda config: tls_of[id(config)]
        ).values()

    def _same_or_new(
        self, kept: dict[str, ListenerTls], config: ListenConfig, certificates: Certificates
    ) -> ListenerTls:
        """Return the listener as it was, with its sessions, if nothing about its TLS has changed."""
        same = kept.pop(certificates.digest, None)
        if same is None or same.config.http2 is not config.http2:
            return ListenerTls(config, certificates, self._contexts)
        same.config = config
        return same

    def has_certificate_for(self, server_name: str) -> bool:
        """Whether some listener has a certificate for a name."""
        wild = "*." + server_name.partition(".")[2]
        return any(not each.by_name.keys().isdisjoint({server_name, wild}) for each in self.certificates)

    def choose(self, server_name: str) -> ChosenTls | None:
        """Return what TLS begins with; None if the handshake is to be refused, as `strict_sni` says.

        :param server_name: that of the ClientHello; empty without one.
        """
        rule = self._table.for_server_name(server_name)
        if rule is None or rule.payload.certificates.choose(server_name) is None:
            return None
        chosen = rule.payload
        return ChosenTls(chosen.config, chosen.base_context(), partial(chosen.covers, server_name))


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


def provide_base_contexts() -> BaseContexts:
    """Make the contexts that the children of this process inherit, unless there are some."""
    if _inherited.contexts is None:
        _inherited.contexts = BaseContexts()
    return _inherited.contexts


def inherited_base_contexts() -> BaseContexts | None:
    """Return the contexts that this process has inherited; None if it was not forked by one that had made them."""
    return _inherited.contexts
