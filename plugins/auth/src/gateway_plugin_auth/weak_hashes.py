"""Hashes of htpasswd that are too fast to be safe, for files that are still on their way to bcrypt or argon2.

A graphics card tries them by the million (apr1) or billion (SHA-1) a second: a reader of the file has the passwords.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from hmac import compare_digest
from typing import Final

APR1: Final = "$apr1$"
SHA: Final = "{SHA}"
SSHA: Final = "{SSHA}"

_APR1: Final = re.compile(r"\$apr1\$(?P<salt>[./0-9A-Za-z]{1,8})\$(?P<hash>[./0-9A-Za-z]{22})")
_APR1_ROUNDS: Final = 1000
_SHA1_BYTES: Final = 20
_ALPHABET: Final = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
# The order in which crypt() of FreeBSD puts the bytes of the digest, three to four characters.
_TRIPLES: Final = ((0, 6, 12), (1, 7, 13), (2, 8, 14), (3, 9, 15), (4, 10, 5))


def weak_kind(text: str) -> str | None:
    """Return the name of the weak kind that a hash is of, or None if it is of none of them."""
    return next((name for prefix, name in _KINDS.items() if text.startswith(prefix)), None)


_KINDS: Final = {APR1: "apr1 (MD5)", SHA: "SHA-1", SSHA: "salted SHA-1"}


def is_whole(text: str) -> bool:
    """Whether a hash of a weak kind has the form of its kind."""
    if text.startswith(APR1):
        return _APR1.fullmatch(text) is not None
    digest = _sha1_digest(text)
    return len(digest) == _SHA1_BYTES if text.startswith(SHA) else len(digest) > _SHA1_BYTES


def is_weak_password(password: bytes, text: str) -> bool:
    """Whether a password is the one of a hash of a weak kind."""
    if text.startswith(APR1):
        match = _APR1.fullmatch(text)
        return match is not None and compare_digest(apr1(password, match["salt"].encode()), match["hash"])
    digest = _sha1_digest(text)
    found = hashlib.sha1(password + digest[_SHA1_BYTES:], usedforsecurity=False).digest()
    return compare_digest(found, digest[:_SHA1_BYTES])


def _sha1_digest(text: str) -> bytes:
    try:
        return base64.b64decode(text.partition("}")[2], validate=True)
    except (ValueError, binascii.Error):
        return b""


def apr1(password: bytes, salt: bytes) -> str:
    """Return the hash that ``htpasswd -m`` and ``openssl passwd -apr1`` make, without magic and salt.

    MD5 crypt of FreeBSD with another magic (apr_md5_encode of the Apache Portable Runtime). Each odd step is in it for
    compatibility with the first implementation.
    """
    inner = hashlib.md5(password + salt + password, usedforsecurity=False).digest()
    mixed = password + APR1.encode() + salt
    mixed += (inner * (len(password) // len(inner) + 1))[: len(password)]
    length = len(password)
    while length:
        mixed += b"\0" if length & 1 else password[:1]
        length >>= 1
    digest = hashlib.md5(mixed, usedforsecurity=False).digest()
    for count in range(_APR1_ROUNDS):
        parts = (
            password if count & 1 else digest,
            salt if count % 3 else b"",
            password if count % 7 else b"",
            digest if count & 1 else password,
        )
        digest = hashlib.md5(b"".join(parts), usedforsecurity=False).digest()
    text = "".join(_encoded(digest[a] << 16 | digest[b] << 8 | digest[c], 4) for a, b, c in _TRIPLES)
    return text + _encoded(digest[11], 2)


def _encoded(number: int, characters: int) -> str:
    return "".join(_ALPHABET[number >> 6 * position & 63] for position in range(characters))
