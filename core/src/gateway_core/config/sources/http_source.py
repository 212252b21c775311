"""The source ``http://`` and ``https://``: one document, asked for again and again, but sent only when it changed."""

from __future__ import annotations

import asyncio
import base64
import ipaddress
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final
from urllib.parse import urlsplit, urlunsplit

import aiohttp
from yarl import URL

from gateway_core.backoff import Backoff
from gateway_core.client_tls import RenewedTls
from gateway_core.config.documents import FORMATS, Document, DocumentFormat, decode
from gateway_core.config.models.gateway import HttpSourceConfig
from gateway_core.config.source import SourceContext, SourceState, SourceUrl
from gateway_core.errors import GatewayError
from gateway_core.failure_text import failure_text

LONGEST_PAUSE: Final = 15.0
TOKEN_VARIABLE: Final = "GATEWAY_HTTP_TOKEN"  # noqa: S105  # a name

_MEDIA_TYPES: Final = {"json": DocumentFormat.JSON, "toml": DocumentFormat.TOML, "yaml": DocumentFormat.YAML}


class HttpSourceError(GatewayError):
    """A response that is no document."""


@dataclass(frozen=True, slots=True)
class Known:
    """The last good response, and how to ask whether it still holds (RFC 9110 section 13.1)."""

    document: Document
    etag: str = ""
    modified: str = ""

    def conditions(self) -> dict[str, str]:
        """Return the fields of a conditional request."""
        if self.etag:
            return {"If-None-Match": self.etag}
        return {"If-Modified-Since": self.modified} if self.modified else {}


class HttpSource:
    """One document at a URL.

    The URL's query holds options (`HttpSourceConfig`), which are not sent. Credentials come from the URL's user info
    (Basic) or the variable ``GATEWAY_HTTP_TOKEN`` (Bearer).
    """

    def __init__(self, url: SourceUrl, context: SourceContext) -> None:
        """Prepare to ask.

        :raises ValueError: an option cannot be used.
        """
        if len(url.hosts) != 1:
            raise ValueError("needs exactly one host")
        config: HttpSourceConfig = url.config
        if url.scheme == "http" and not config.allow_http and not _is_here(url):
            raise ValueError("brings the configuration unencrypted: write https://, or add ?allow_http=true")
        self._name = str(url)
        self._context = context
        self._interval = config.interval
        self._timeout = aiohttp.ClientTimeout(total=config.timeout)
        self._largest = config.max_size
        self._tls = RenewedTls(config.ca, config.cert, config.key)
        parts = urlsplit(url.text)
        self._url = URL(urlunsplit((parts.scheme, url.hosts[0], parts.path or "/", config.query, "")), encoded=True)
        self._headers = _headers(url, context)

    async def documents(self) -> AsyncGenerator[SourceState]:
        """Yield the document when it changed, and again as stale when it cannot be had any more."""
        known: Known | None = None
        backoff = Backoff(self._context.rng, first=2 * self._interval, longest=max(LONGEST_PAUSE, 2 * self._interval))
        is_stale = False
        while True:
            try:
                latest = await self._ask(known)
            except (aiohttp.ClientError, TimeoutError, OSError, HttpSourceError) as error:
                if known is None:
                    raise
                is_stale = True
                yield SourceState((known.document,), is_stale=True, reason=failure_text(error))
            else:
                if is_stale or known is None or latest.document != known.document:
                    yield SourceState((latest.document,))
                known, is_stale = latest, False
                backoff.reset()
            usual = self._interval * (0.95 + self._context.rng.random() / 10)
            await asyncio.sleep(backoff.next_delay() if is_stale else usual)

    async def _ask(self, known: Known | None) -> Known:
        headers = {**self._headers, **({} if known is None else known.conditions())}
        # A redirect is not followed: it could lead the credentials to where the operator did not send them.
        request = self._context.session().get(
            self._url, headers=headers, timeout=self._timeout, ssl=self._tls.context(), allow_redirects=False
        )
        async with request as response:
            if response.status == 304 and known is not None:
                return known
            if response.status != 200:
                raise HttpSourceError(_refusal(response))
            body = await self._body(response)
        text = decode(body)
        if isinstance(text, int):
            raise HttpSourceError(f"byte {text} of the response is not UTF-8: save the document as UTF-8")
        document = Document(self._name, text, format_of(response.content_type, self._name))
        return Known(document, response.headers.get("ETag", ""), response.headers.get("Last-Modified", ""))

    async def _body(self, response: aiohttp.ClientResponse) -> bytes:
        if response.headers.get("Content-Encoding", "identity") != "identity":
            raise HttpSourceError(f"the response is encoded as {response.headers['Content-Encoding']!r}, unasked")
        body = bytearray()
        async for part in response.content.iter_any():
            body += part
            if len(body) > self._largest:
                raise HttpSourceError(f"the response is larger than {self._largest} bytes: raise max_size in the URL")
        return bytes(body)


def format_of(media_type: str, name: str) -> DocumentFormat:
    """Tell a document's format by its media type, else by the ending of its name; YAML, of which JSON is a part."""
    for word, found in _MEDIA_TYPES.items():
        if media_type.endswith((f"/{word}", f"/x-{word}", f"+{word}")):
            return found
    return FORMATS.get(PurePosixPath(name).suffix, DocumentFormat.YAML)


def _is_here(url: SourceUrl) -> bool:
    """Whether the server is on this machine."""
    host = URL.build(authority=url.hosts[0], scheme="http").host or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _headers(url: SourceUrl, context: SourceContext) -> dict[str, str]:
    headers = {"Accept-Encoding": "identity", "Accept": "application/yaml, application/json, application/toml, */*"}
    token = context.environ.get(TOKEN_VARIABLE, "")
    if url.username or url.password:
        word = base64.b64encode(f"{url.username}:{url.password}".encode()).decode()
        headers["Authorization"] = f"Basic {word}"
    elif token:
        headers["Authorization"] = f"Bearer {token}"
    return headers


def _refusal(response: aiohttp.ClientResponse) -> str:
    if 300 <= response.status < 400:
        return f"it responds {response.status}, which is not followed: give the URL of the document itself"
    return f"it responds {response.status} {response.reason}"
