"""What `gateway check` reports of a valid configuration."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Final
from urllib.parse import urlsplit

from gateway_plugin_sdk import ConfigFinding
from gateway_plugin_sdk.certificates import certificate_findings
from gateway_tokens.texts import many

from gateway_plugin_oidc.browser import authority_of
from gateway_plugin_oidc.config import OidcConfig

_APART: Final = "give each binding its own, or all of them one id, provider and client"
_ENDS: Final = (
    "another binding reads these sessions too, and neither hears of logouts and refreshed tokens of the other"
)
_ONCE: Final = "bind the plugin once, for the whole gateway, or give valkey"


def findings(config: OidcConfig) -> Iterator[ConfigFinding]:
    """Yield what is wrong with the files of a configuration, and what its sessions cannot do."""
    for option, read in (("keys_file", config.key_texts), ("client_secret_file", config.client_secret_text)):
        if getattr(config, option) is not None:
            yield from _in_file(option, read)
    if config.client_key is not None:
        from gateway_tokens.client_key import ClientKey  # noqa: PLC0415 - only where a key is configured

        yield from _in_file("client_key", partial(ClientKey, config.client_key, config.client_id, lambda: 0.0))
    fetch = config.fetch
    yield from certificate_findings(("fetch",), {"ca": fetch.ca, "cert": fetch.cert, "key": fetch.key})
    if config.valkey is not None and config.valkey.tls is not None:
        tls = config.valkey.tls
        yield from certificate_findings(("valkey", "tls"), {"ca": tls.ca, "cert": tls.cert, "key": tls.key})
    if config.valkey is None and not config.session.single_gateway:
        what = "a logout and the result of a refresh reach the workers of this gateway only"
        yield ConfigFinding(
            ("session",),
            f"sessions are in sealed cookies without valkey: {what}; add valkey, or set session.single_gateway: true",
            code="sessions-not-shared",
            severity="warning",
        )


def _in_file(option: str, read: Callable[[], object]) -> Iterator[ConfigFinding]:
    try:
        read()
    except OSError as error:
        yield ConfigFinding((option,), f"the file cannot be read: {error.strerror or error}", code="file-unreadable")
    except ValueError as error:
        yield ConfigFinding((option,), str(error), code="file-invalid")


def findings_together(bindings: Sequence[tuple[str, OidcConfig]]) -> Iterator[tuple[int, ConfigFinding]]:
    """Yield what two bindings share although only one of them can use it: a ``redirect_uri``, a cookie's name.

    The callback of a shared ``redirect_uri`` reaches one binding, which cannot open the login attempts of the other.
    A shared cookie is refused and removed by each of the two in turn. Both would log users in again and again.
    Bindings that read each other's sessions hear of ends and refreshed tokens of the other one through Valkey alone.
    """
    warned = False
    uris: dict[str, tuple[str, ...]] = {}
    cookies: dict[tuple[str, str], tuple[str, ...]] = {}
    for index, (binding, config) in enumerate(bindings):
        # What cookies are sealed with, and their name: bindings in which all of it is the same read each other's.
        owner = (binding, config.issuer, config.client_id, config.cookie.name, config.cookie.domain or "")
        for uri in many(config.redirect_uri):
            is_first = uri not in uris
            first = uris.setdefault(uri, owner)
            if not is_first and first == owner and config.valkey is None and not warned:
                warned = True
                yield index, ConfigFinding((), _ENDS, code="ends-not-shared", severity="warning", remedy=_ONCE)
            scheme = urlsplit(uri).scheme
            host = config.cookie.domain or authority_of(urlsplit(uri).netloc, scheme)
            if first != owner:
                message = f"{uri!r} is the redirect_uri of {first[0]!r} as well: only one of them can finish its logins"
                yield (
                    index,
                    ConfigFinding(
                        ("redirect_uri",), message, code="redirect-uri-shared", severity="warning", remedy=_APART
                    ),
                )
            elif cookies.setdefault((host, config.cookie.name), owner) != owner:
                other = cookies[host, config.cookie.name][0]
                message = f"the cookie {config.cookie.name!r} of {host} is that of {other!r} as well: each removes it"
                yield (
                    index,
                    ConfigFinding(
                        ("cookie",), message, code="cookie-shared", severity="warning", remedy="give each a cookie.name"
                    ),
                )
