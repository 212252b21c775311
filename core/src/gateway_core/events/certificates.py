"""Events of certificates."""

from __future__ import annotations

from typing import Final

from gateway_core.events.event import ERROR, WARNING, define

CERTIFICATES_KEPT: Final = define(
    "certificates.kept", ERROR, "new certificates cannot be used; the listener keeps the ones that it has",
    "listener", "reason",
)  # fmt: skip
CERTIFICATES_WARNING: Final = define(
    "certificates.warning", WARNING, "a certificate serves, with a flaw", "listener", "reason"
)
CERTIFICATES_STALE: Final = define(
    "certificates.stale", WARNING, "a certificate source of an extension failed; its last certificates stay in use",
    "source", "reason", "seconds",
)  # fmt: skip
CERTIFICATES_MISSING: Final = define(
    "certificates.missing", WARNING, "certificate sources of extensions have not yielded any certificate yet"
)
