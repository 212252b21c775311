"""Pieces of the gateway's own plugins and extensions: TLS contexts, file names, lines, document formats, URL options.

Outside the promise of stability: a minor release may change or remove them.
"""

from __future__ import annotations

import ssl
import tempfile
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final

from gateway_core.config import FileName, OutputFile

from gateway_plugin_sdk import DocumentFormat, GatewayError

if TYPE_CHECKING:
    from gateway_plugin_sdk import SourceUrl

__all__ = [
    "DOCUMENT_FORMATS",
    "FileName",
    "LineSplitter",
    "LineTooLongError",
    "OutputFile",
    "client_tls_context",
    "document_format",
    "switch_option",
    "with_port",
]

# -- TLS


def client_tls_context(
    ca: str = "",
    cert: str = "",
    key: str = "",
    *,
    authorities: bytes | None = None,
    identity: tuple[bytes, bytes] | None = None,
    verify: bool = True,
) -> ssl.SSLContext | None:
    """Return the TLS context of a client. Blocks: loading the system's authorities takes 66 ms or more.

    :param ca: file of the authorities to trust; the system's unless given.
    :param cert: file of the client certificate.
    :param key: file of its key, unless it is in ``cert``.
    :param authorities: instead of ``ca``: the authorities in PEM.
    :param identity: instead of ``cert`` and ``key``: the certificate and its key in PEM.
    :param verify: False trusts any certificate.
    :returns: None if nothing is given: aiohttp has a context for that, made once.
    :raises ValueError: something cannot be used.
    """
    if verify and not (ca or cert or key or authorities or identity):
        return None
    if key and not cert:
        raise ValueError("key is given without cert: give both, or neither")
    try:
        context = ssl.create_default_context(
            cafile=ca or None, cadata=authorities.decode("ascii") if authorities else None
        )
        if cert:
            context.load_cert_chain(cert, key or None, password=_no_password)
        elif identity is not None:
            _load_identity(context, *identity)
    except (OSError, ValueError) as error:
        named = ", ".join(name for name, value in (("ca", ca), ("cert", cert), ("key", key)) if value)
        what = f"the files of {named} cannot be used" if named else "the certificates cannot be used"
        raise ValueError(f"{what}: {error}") from None
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _no_password() -> str:
    # OpenSSL would ask on the terminal, and wait.
    raise ValueError("the key is encrypted")


def _load_identity(context: ssl.SSLContext, certificate: bytes, key: bytes) -> None:
    """Load a client certificate through a file that is this user's alone: OpenSSL reads nothing else."""
    with tempfile.NamedTemporaryFile(suffix=".pem") as file:
        file.write(certificate.rstrip() + b"\n" + key)
        file.flush()
        context.load_cert_chain(file.name, password=_no_password)


# -- lines


class LineTooLongError(GatewayError, ValueError):
    """A line that is longer than anything that the server could mean."""


class LineSplitter:
    """Cuts the parts of a stream into lines. Costs each byte once, however the parts fall."""

    __slots__ = ("_longest", "_parts", "_size")

    def __init__(self, longest: int) -> None:
        """Begin with an empty line.

        :param longest: bytes that a line may have.
        """
        self._longest = longest
        self._parts: list[bytes] = []
        self._size = 0

    def feed(self, part: bytes) -> list[bytes]:
        """Take the next part, and return the lines that are complete now, without their ends and without empty ones.

        :raises LineTooLongError: there is no end in sight.
        """
        first, *others = part.split(b"\n")
        self._parts.append(first)
        self._size += len(first)
        if self._size > self._longest:
            raise LineTooLongError(f"a line of the stream is longer than {self._longest} bytes")
        if not others:
            return []
        lines = [b"".join(self._parts), *others[:-1]]
        self._parts, self._size = [others[-1]], len(others[-1])
        return [line for line in lines if line.strip()]


# -- documents

DOCUMENT_FORMATS: Final[Mapping[str, DocumentFormat]] = {
    "": DocumentFormat.YAML,
    ".yaml": DocumentFormat.YAML,
    ".yml": DocumentFormat.YAML,
    ".json": DocumentFormat.JSON,
    ".toml": DocumentFormat.TOML,
}
"""By the ending of a document's name; none is YAML."""


def document_format(name: str) -> DocumentFormat | None:
    """Return the format of a document by its name; None for an ending that no document has."""
    return DOCUMENT_FORMATS.get(PurePosixPath(name).suffix)


# -- URLs of sources


def switch_option(url: SourceUrl, name: str, *, default: bool) -> bool:
    """Return an option that is true or false.

    :raises ValueError: it is neither.
    """
    text = url.options.get(name)
    if text is None:
        return default
    if text not in {"true", "false"}:
        raise ValueError(f"option {name}: {text!r} is neither true nor false")
    return text == "true"


def with_port(host: str, default: int) -> str:
    """Return a host with its port; an IPv6 address stands in brackets."""
    has_port = ":" in (host.rpartition("]")[2] if host.startswith("[") else host)
    return host if has_port else f"{host}:{default}"
