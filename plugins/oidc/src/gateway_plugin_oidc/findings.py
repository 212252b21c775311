"""What `gateway check` reports of a valid configuration."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from gateway_plugin_sdk import ConfigFinding
from gateway_plugin_sdk.certificates import certificate_findings

from gateway_plugin_oidc.config import OidcConfig


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
