"""TLS contexts of clients: of connections to upstreams, registries and services that plugins call.

Loading the system's authorities takes 66 ms or more, which an event loop must not stand still for with each of many
upstreams: `client_tls_context` makes one context for all that trust and show the same.
"""

from __future__ import annotations

import errno
import hashlib
import ssl
import stat
import tempfile
from collections import OrderedDict
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import Final

MOST_CONTEXTS: Final = 64
"""Contexts that are kept; the ones that were used last."""

_contexts: OrderedDict[tuple[object, ...], ssl.SSLContext] = OrderedDict()
_lock: Final = Lock()


def make_client_context(
    ca: str = "",
    cert: str = "",
    key: str = "",
    *,
    authorities: bytes | None = None,
    identity: tuple[bytes, bytes] | None = None,
    verify: bool = True,
) -> ssl.SSLContext:
    """Return a new TLS context of a client, for a caller who changes it. Blocks.

    :param ca: file of the authorities to trust; the system's unless given.
    :param cert: file of the client certificate.
    :param key: file of its key, unless it is in ``cert``.
    :param authorities: instead of ``ca``: the authorities in PEM.
    :param identity: instead of ``cert`` and ``key``: the certificate and its key in PEM.
    :param verify: False trusts any certificate.
    :raises OSError: a file cannot be read, or used (``ssl.SSLError``).
    :raises ValueError: a key is encrypted, or authorities are not ASCII.
    """
    context = ssl.create_default_context(cafile=ca or None, cadata=authorities.decode("ascii") if authorities else None)
    if cert:
        context.load_cert_chain(cert, key or None, password=_no_password)
    elif identity is not None:
        _load_identity(context, *identity)
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def client_tls_context(
    ca: str = "",
    cert: str = "",
    key: str = "",
    *,
    authorities: bytes | None = None,
    identity: tuple[bytes, bytes] | None = None,
    verify: bool = True,
) -> ssl.SSLContext | None:
    """Return the TLS context of a client, which is shared and must not be changed. Blocks when it is a new one.

    The parameters are those of `make_client_context`. Files that were replaced make another context.

    :returns: None if nothing is given: aiohttp has a context for that, made once.
    :raises ValueError: something cannot be used.
    """
    if verify and not (ca or cert or key or authorities or identity):
        return None
    if key and not cert:
        raise ValueError("key is given without cert: give both, or neither")
    try:
        wanted = (_digest(ca), _digest(cert), _digest(key), cert, key, authorities, identity, verify)
        with _lock:
            context = _contexts.get(wanted)
            if context is None:
                context = make_client_context(ca, cert, key, authorities=authorities, identity=identity, verify=verify)
                _contexts[wanted] = context
                if len(_contexts) > MOST_CONTEXTS:
                    _contexts.popitem(last=False)
            _contexts.move_to_end(wanted)
    except (OSError, ValueError) as error:
        named = ", ".join(name for name, value in (("ca", ca), ("cert", cert), ("key", key)) if value)
        what = f"the files of {named} cannot be used" if named else "the certificates cannot be used"
        raise ValueError(f"{what}: {tls_reason(error, cert, key)}") from None
    return context


class RenewedTls:
    """The TLS context of a client that goes on for as long as the gateway, while its files are replaced."""

    __slots__ = ("_ca", "_cert", "_context", "_key", "_verify")

    def __init__(self, ca: str = "", cert: str = "", key: str = "", *, verify: bool = True) -> None:
        """Read the files. Blocks.

        :raises ValueError: something cannot be used.
        """
        self._ca, self._cert, self._key, self._verify = ca, cert, key, verify
        self._context = client_tls_context(ca, cert, key, verify=verify)

    def context(self) -> ssl.SSLContext | bool:
        """Return what the files say now, for one connection; True is aiohttp's own context.

        While they cannot be used, as between the replacement of a certificate and that of its key, it is what they
        said before. They are small, and connections of such clients are rare.
        """
        with suppress(ValueError):
            self._context = client_tls_context(self._ca, self._cert, self._key, verify=self._verify)
        return True if self._context is None else self._context


def tls_reason(error: Exception, cert: str = "", key: str = "") -> str:
    """Say in plain words why OpenSSL, or reading a file, failed.

    OpenSSL says no more than "PEM lib" of a file that is not what it should be, so the files are looked at.

    :param cert: file of the certificate that was loaded, if one was.
    :param key: file of its key, unless it is in ``cert``.
    """
    if isinstance(error, ssl.SSLError):
        code = getattr(error, "reason", None) or ""
        found = _REASONS.get(code) or _what_is_wrong(cert, key or cert)
        return found or code.lower().replace("_", " ") or "it is not PEM"
    if isinstance(error, OSError):
        return f"{error.filename or 'a file'} cannot be read: {(error.strerror or str(error)).lower()}"
    return str(error)


_REASONS: Final = {
    "KEY_VALUES_MISMATCH": "the key does not belong to the certificate",
    "KEY_TYPE_MISMATCH": "the key is of another kind than the certificate's",
    "NO_CERTIFICATE_OR_CRL_FOUND": "there is no PEM certificate in it",
    "EE_KEY_TOO_SMALL": "the key of the certificate is too short to be secure",
    "CA_KEY_TOO_SMALL": "the key of an authority in it is too short to be secure",
    "CA_MD_TOO_WEAK": "a signature in it uses a digest that is not secure any more",
    "UNKNOWN_CERTIFICATE_TYPE": "its key is of a kind that TLS does not use",
}
"""What OpenSSL's reasons mean."""


def _what_is_wrong(cert: str, key: str) -> str:
    for file, mark, what in ((cert, b"-----BEGIN CERTIFICATE-----", "certificate"), (key, b"PRIVATE KEY-----", "key")):
        try:
            data = Path(file).read_bytes() if file else mark
        except OSError:
            return ""
        if mark not in data:
            return f"there is no PEM {what} in {file}"
        if what == "key" and b"ENCRYPTED" in data:
            return f"the key in {file} is encrypted"
    return f"the PEM text in {' or '.join(dict.fromkeys((cert, key)))} is damaged" if cert else ""


def _digest(file: str) -> bytes:
    if not file:
        return b""
    mode = Path(file).stat().st_mode
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):  # which would wait for a writer, perhaps for ever
        raise OSError(errno.EINVAL, "it is a pipe, a socket or a device", file)
    return hashlib.sha256(Path(file).read_bytes()).digest()


def _no_password() -> str:
    # OpenSSL would ask on the terminal, and wait.
    raise ValueError("the key is encrypted")


def _load_identity(context: ssl.SSLContext, certificate: bytes, key: bytes) -> None:
    """Load a client certificate through a file that is this user's alone: OpenSSL reads nothing else."""
    with tempfile.NamedTemporaryFile(suffix=".pem") as file:
        file.write(certificate.rstrip() + b"\n" + key)
        file.flush()
        context.load_cert_chain(file.name, password=_no_password)
