"""Which header fields may hold credentials, by their names: they are shown and recorded nowhere."""

from __future__ import annotations

from typing import Final

_WORDS: Final = frozenset(
    {
        "assertion",
        "auth",
        "authn",
        "authorization",
        "authz",
        "cert",
        "certificate",
        "cookie",
        "cookie2",
        "cookies",
        "credential",
        "credentials",
        "csrf",
        "dpop",
        "jwt",
        "otp",
        "proof",
        "pwd",
        "secret",
        "secrets",
        "sid",
        "sig",
        "xsrf",
    }
)
_BEGINNINGS: Final = ("authenticat", "pass", "saml", "session", "signature")
_ENDINGS: Final = ("key", "keys", "token", "tokens")
_SEPARATORS: Final = str.maketrans("_.", "--")


def may_be_secret(name: str) -> bool:
    """Return whether a field of this name holds credentials more often than not.

    Words decide: those of ``Authorization``, ``Cookie``, ``X-Api-Key``, ``X-Amz-Security-Token``,
    ``X-Forwarded-Client-Cert`` and their like.
    """
    return any(_is_secret(word) for word in name.lower().translate(_SEPARATORS).split("-"))


def _is_secret(word: str) -> bool:
    return word in _WORDS or word.removeprefix("x") in _WORDS or word.startswith(_BEGINNINGS) or word.endswith(_ENDINGS)
