"""Password hashes: argon2 and bcrypt, and nothing that a graphics card tries by the billion."""

from __future__ import annotations

import re
import secrets
from typing import Any, Final

LONGEST_PASSWORD: Final = 1024
"""Bytes; nobody types more, and hashing takes time."""

_BCRYPT_PREFIXES: Final = ("$2a$", "$2b$", "$2y$")
_BCRYPT_BYTES: Final = 72
_BCRYPT: Final = re.compile(r"\$2[aby]\$(?:0[4-9]|[12][0-9]|3[01])\$[./A-Za-z0-9]{53}")
_MISSING: Final = "{} hashes need a library: pip install 'gateway-plugin-auth[basic]'"
_LETTERS: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"


def _argon2() -> Any:
    """Import the library when the first hash of its kind is there: who has none does not pay for it in memory.

    :raises ValueError: it is not installed.
    """
    try:
        import argon2  # noqa: PLC0415 - see above
    except ImportError:
        raise ValueError(_MISSING.format("argon2")) from None
    return argon2


def _bcrypt() -> Any:
    """Import the library as `_argon2` does.

    :raises ValueError: it is not installed.
    """
    try:
        import bcrypt  # noqa: PLC0415 - see above
    except ImportError:
        raise ValueError(_MISSING.format("bcrypt")) from None
    return bcrypt


def check_hash(text: str) -> None:
    """Check that a text is a hash that `is_password` can verify.

    :raises ValueError: it is not; the text does not show the hash.
    """
    if text.startswith("$argon2"):
        argon2 = _argon2()
        try:
            argon2.extract_parameters(text)
        except argon2.exceptions.InvalidHashError:
            raise ValueError("this argon2 hash is damaged: it was cut or has other characters") from None
        return
    if text.startswith(_BCRYPT_PREFIXES):
        _bcrypt()
        if not _BCRYPT.fullmatch(text):
            raise ValueError("this bcrypt hash is damaged: it has 60 characters, the cost is 04 to 31")
        return
    raise ValueError("this is not an argon2 or bcrypt hash: make one with htpasswd -nB NAME")


def is_password(password: bytes, text: str) -> bool:
    """Say whether a password is the one of a hash. Takes 20 to 250 ms and belongs into a thread."""
    if len(password) > LONGEST_PASSWORD:
        return False
    if text.startswith("$argon2"):
        argon2 = _argon2()
        try:
            return bool(argon2.PasswordHasher().verify(text, password))
        except (argon2.exceptions.VerificationError, argon2.exceptions.InvalidHashError):
            return False
    try:
        # bcrypt reads 72 bytes; a longer password would match by its beginning.
        return len(password) <= _BCRYPT_BYTES and bool(_bcrypt().checkpw(password, text.encode()))
    except ValueError:
        return False


def decoy_of(text: str) -> str:
    """Return a hash of no known password that takes as long to verify as ``text``.

    Verifying it for names that nobody has takes the time that tells them from the others.
    """
    head, kept = (text[:29], text[-1]) if text.startswith("$2") else (text[: text.rindex("$") + 1], text[-1])
    # The last character stays, since its low bits are padding that must be zero.
    return head + "".join(secrets.choice(_LETTERS) for _ in range(len(text) - len(head) - 1)) + kept
