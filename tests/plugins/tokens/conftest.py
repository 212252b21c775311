"""Keys, a key server, and the plugin auth, through which most of this is tested."""

from __future__ import annotations

from tests.plugins.auth.conftest import (
    b64_fixture,
    clock,
    context,
    key_server,
    keys,
    make_gate,
    openssl,
    secret,
    sign,
    stalling_server,
    sync_gate,
    until,
    write_certificate,
)

__all__ = [
    "b64_fixture",
    "clock",
    "context",
    "key_server",
    "keys",
    "make_gate",
    "openssl",
    "secret",
    "sign",
    "stalling_server",
    "sync_gate",
    "until",
    "write_certificate",
]
