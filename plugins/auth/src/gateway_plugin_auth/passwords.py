"""Password hashes: argon2 and bcrypt, and the weak ones of htpasswd for files that are still to be converted."""

from __future__ import annotations

import re
import secrets
from typing import Any, Final

from gateway_plugin_auth.weak_hashes import APR1, is_weak_password, is_whole, weak_kind

LONGEST_PASSWORD: Final = 1024
"""Bytes; no person types more, and hashing takes time."""

_BCRYPT_PREFIXES: Final = ("$2a$", "$2b$", "$2y$")
_BCRYPT_BYTES: Final = 72
_BCRYPT: Final = re.compile(r"\$2[aby]\$(?P<cost>[0-9]{2})\$[./A-Za-z0-9]{53}")
_BCRYPT_COSTS: Final = range(4, 18)
"""Those of ``htpasswd -C``. Each more takes twice as long: 17 are 8 s, 31 would be more than a day."""
_ARGON2: Final = re.compile(
    r"\$argon2(?:id|i|d)(?:\$v=(?:16|19))?"
    r"\$m=(?P<memory>[0-9]{1,9}),t=(?P<passes>[0-9]{1,9}),p=(?P<lanes>[0-9]{1,3})"
    r"\$(?P<salt>[A-Za-z0-9+/]{11,})\$(?P<hash>[A-Za-z0-9+/]{6,})"
)
_ARGON2_MEMORY: Final = 1 << 20
"""KiB. Two threads hash at once, and a worker that runs out of memory is ended with all that it does."""
_ARGON2_WORK: Final = 1 << 22
"""KiB times passes; some seconds, as bcrypt with a cost of 17."""
_MISSING: Final = "{} hashes need a library: pip install 'gateway-plugin-auth[basic]'"
_LETTERS: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
_REMEDY: Final = "make one with htpasswd -nB NAME"
_OTHERS: Final = {
    "$1$": "an MD5 crypt hash", "$2$": "a bcrypt hash of the first version",
    "$2x$": "a bcrypt hash of a faulty version",
    "$5$": "a SHA-256 crypt hash", "$6$": "a SHA-512 crypt hash", "$y$": "a yescrypt hash", "$7$": "an scrypt hash",
    "$scrypt$": "an scrypt hash", "$pbkdf2": "a PBKDF2 hash", "$md5": "a Sun MD5 hash", "$sha1$": "a SHA-1 crypt hash",
    "$3$": "an NT hash",
}  # fmt: skip
_IN_BRACES: Final = re.compile(r"\{(?P<name>[A-Za-z0-9.-]{1,20})\}")
_DES: Final = re.compile(r"[./0-9A-Za-z]{13}")


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

    :raises ValueError: it is not; the text names its kind, and does not show the hash.
    """
    if text.startswith("$argon2"):
        _argon2()
        _check_argon2(text)
    elif text.startswith(_BCRYPT_PREFIXES):
        _bcrypt()
        match = _BCRYPT.fullmatch(text)
        if match is None:
            raise ValueError("this bcrypt hash is damaged: it has 60 characters")
        if int(match["cost"]) not in _BCRYPT_COSTS:
            raise ValueError(f"the cost {match['cost']} of this bcrypt hash is not between 04 and 17: {_REMEDY}")
    elif (kind := weak_kind(text)) is not None:
        if not is_whole(text):
            raise ValueError(f"this {kind} hash is damaged: it was cut or has other characters")
    else:
        raise ValueError(f"this is {_other_kind(text)}, not an argon2 or bcrypt hash: {_REMEDY}")


def _check_argon2(text: str) -> None:
    # The library looks at the parameters only: what else is damaged would be a password that never matches.
    match = _ARGON2.fullmatch(text)
    if match is None or 1 in (len(match["salt"]) % 4, len(match["hash"]) % 4):
        raise ValueError("this argon2 hash is damaged: it was cut or has other characters")
    memory, passes, lanes = (int(match[name]) for name in ("memory", "passes", "lanes"))
    if not (lanes >= 1 and 8 * lanes <= memory <= _ARGON2_MEMORY and passes >= 1 and memory * passes <= _ARGON2_WORK):
        raise ValueError(
            f"this argon2 hash asks for m={memory},t={passes},p={lanes}: use at least 8 KiB a lane, at most "
            f"{_ARGON2_MEMORY >> 10} MiB, and m times t of at most {_ARGON2_WORK}"
        )


def _other_kind(text: str) -> str:
    for prefix, kind in _OTHERS.items():
        if text.startswith(prefix):
            return kind
    match = _IN_BRACES.match(text)
    if match is not None:
        return f"a hash of the kind {match['name']}"
    return "a DES crypt hash" if _DES.fullmatch(text) else "no hash that is known, perhaps the password itself"


def hash_class(text: str) -> str:
    """Return what decides how long verifying a hash takes: its kind and cost."""
    if text.startswith("$argon2"):
        return text.rsplit("$", 2)[0]
    return text[:7] if text.startswith("$2") else text[: len(APR1)] if text.startswith(APR1) else "{SHA}"


def significant(password: bytes, text: str) -> bytes:
    """Return the part of a password that a hash depends on.

    bcrypt reads 72 bytes, and ``htpasswd -B`` hashes the beginning of longer passwords, as crypt() does.
    """
    return password[:_BCRYPT_BYTES] if text.startswith("$2") else password


def is_password(password: bytes, text: str) -> bool:
    """Return whether a password is the one of a hash. Takes up to seconds and belongs into a thread."""
    if len(password) > LONGEST_PASSWORD or b"\0" in password:
        return False
    if text.startswith("$argon2"):
        argon2 = _argon2()
        try:
            return bool(argon2.PasswordHasher().verify(text, password))
        except (argon2.exceptions.VerificationError, argon2.exceptions.InvalidHashError):
            return False
    if text.startswith(_BCRYPT_PREFIXES):
        try:
            return bool(_bcrypt().checkpw(significant(password, text), text.encode()))
        except ValueError:
            return False
    return is_weak_password(password, text)


def decoy_of(text: str) -> str:
    """Return a hash of no known password that takes as long to verify as ``text``.

    Verifying it for names that no user has takes the same time as for the others.
    """
    if text.startswith("$2"):
        head = text[:29]
    elif text.startswith("$"):
        head = text[: text.rindex("$") + 1]
    else:
        return "{SHA}" + "A" * 27 + "="
    # The last character stays, since its low bits are padding that must be zero.
    return head + "".join(secrets.choice(_LETTERS) for _ in range(len(text) - len(head) - 1)) + text[-1]
