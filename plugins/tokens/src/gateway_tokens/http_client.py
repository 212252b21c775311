"""One request for a small document, with bounds on everything."""

from __future__ import annotations

import os
import ssl
from collections.abc import Awaitable, Callable, Mapping
from urllib.parse import urlsplit

import aiohttp
from gateway_plugin_sdk import SecretUrl

from gateway_tokens.documents import FetchError
from gateway_tokens.fetch import FetchOptions
from gateway_tokens.texts import shown_url


def _why(error: Exception) -> str:
    """Return why a request failed, in the system's words where there are some."""
    match error:
        case aiohttp.ClientConnectorCertificateError():
            found = error.certificate_error
            return f"its certificate is not accepted: {getattr(found, 'verify_message', '') or found}"
        case aiohttp.ClientConnectorDNSError():
            return f"its name cannot be resolved: {error.os_error.strerror or error.os_error}"
        case aiohttp.ClientConnectorError() if error.os_error.errno:
            return f"no connection: {os.strerror(error.os_error.errno)}"
        case aiohttp.ServerDisconnectedError():
            return "the server closed the connection without a response"
    return str(error) or type(error).__name__


async def request(
    method: str,
    url: str,
    headers: Mapping[str, str],
    form: object,
    options: FetchOptions,
    proxy: str | None,
    context: Callable[[], Awaitable[ssl.SSLContext | bool]],
) -> tuple[int, bytes, str]:
    """Return the status, the body and the ``Cache-Control`` of the response; a body that is not asked for is not read.

    :param form: fields of a form to send as the body.
    :param context: returns how a server is trusted, True for the usual way; it may raise `ValueError`.
    :raises FetchError: there is no response in time, or it is too large. Redirects are not followed.
    """
    timeout = aiohttp.ClientTimeout(total=options.timeout or None)
    try:
        trusted = await context() if urlsplit(url).scheme == "https" else True
        connector = aiohttp.TCPConnector(force_close=True, ssl=trusted)
        async with (
            aiohttp.ClientSession(timeout=timeout, cookie_jar=aiohttp.DummyCookieJar(), connector=connector) as session,
            session.request(method, url, headers=headers, data=form, proxy=proxy, allow_redirects=False) as response,
        ):
            is_wanted = response.status == 200 or form is not None
            body = await _read(shown_url(url), response, options.max_bytes) if is_wanted else b""
            return response.status, body, response.headers.get("Cache-Control", "")
    except TimeoutError as error:
        raise FetchError(f"no response within {options.timeout:g} s (fetch.timeout)", shown_url(url)) from error
    except (aiohttp.ClientError, OSError, ValueError) as error:
        # Some errors quote the URL, or that of the proxy.
        text = str(SecretUrl(_why(error).replace(url, shown_url(url))))
        raise FetchError(text, shown_url(url)) from error


async def _read(url: str, response: aiohttp.ClientResponse, most: int) -> bytes:
    parts, size = [], 0
    async for part in response.content.iter_any():
        size += len(part)
        if size > most:
            raise FetchError(f"the server sends more than {most} bytes (fetch.max_bytes)", url)
        parts.append(part)
    return b"".join(parts)
