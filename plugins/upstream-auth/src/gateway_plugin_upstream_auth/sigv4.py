"""AWS Signature Version 4, over a request as it is sent.

Four steps, each a line of AWS's documentation: the *canonical request* is hashed into the *string to sign*, which is
signed with a key that is derived from the secret for one day, region and service. The receiver makes the canonical
request again out of what came, so what is signed is what goes on the wire: method, path, query, ``Host``, every
``X-Amz-*`` field and Content-Type. Other fields are not signed, since anything on the way may change them.

**Paths.** S3 decodes the path once and takes it as it is, empty segments included. All other services take the path
without dot segments and empty ones, and encode what was sent, escapes included, once more.

**Bodies in pieces.** Clients of S3 may send a body as `aws-chunked`, in pieces with a signature each, a checksum as
trailer, or both; X-Amz-Content-Sha256 begins with ``STREAMING-`` then, and by it S3 knows to take the pieces apart.
Signatures of pieces are the client's own, and each depends on the one before, so they cannot be replaced without
taking the body apart; pieces without signatures go on as they are.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from time import gmtime, strftime
from typing import Final
from urllib.parse import quote, unquote_to_bytes

from gateway_plugin_sdk import Headers

ALGORITHM: Final = "AWS4-HMAC-SHA256"
UNSIGNED: Final = "UNSIGNED-PAYLOAD"
UNSIGNED_TRAILER: Final = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
EMPTY_HASH: Final = sha256(b"").hexdigest()

_SPACES: Final = re.compile(r" {2,}")
_LIKE_S3: Final = frozenset({"s3", "s3-object-lambda", "s3-outposts", "s3express"})


def chunked_payload(headers: Headers) -> str | None:
    """Return how the client of S3 says that a body is in pieces; None if it is not."""
    value = headers.get("x-amz-content-sha256")
    return value if value is not None and value.startswith("STREAMING-") else None


def is_like_s3(service: str) -> bool:
    """Return whether a service takes paths as S3 does, and wants the hash of the body in a field."""
    return service in _LIKE_S3


@dataclass(frozen=True, slots=True)
class SigningKey:
    """The key of one day."""

    key: bytes
    scope: str
    """Day, region and service."""


def signing_key(secret: str, day: str, region: str, service: str) -> SigningKey:
    """Derive the key of a day.

    :param day: as ``20150830``.
    """
    key = f"AWS4{secret}".encode()
    for part in (day, region, service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return SigningKey(key, f"{day}/{region}/{service}/aws4_request")


def timestamp(now: float) -> str:
    """Return a time as AWS writes it.

    :param now: seconds since the epoch.
    """
    return strftime("%Y%m%dT%H%M%SZ", gmtime(now))


def canonical_path(path: str, service: str) -> str:
    """Return a path, given as it is sent, as it is signed."""
    if is_like_s3(service):
        return quote(unquote_to_bytes(path.encode("latin-1")), safe="/-_.~") or "/"
    kept: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            del kept[-1:]
        elif segment not in {"", "."}:
            kept.append(segment)
    end = "/" if kept and path.endswith(("/", "/.", "/..")) else ""
    return quote(f"/{'/'.join(kept)}{end}".encode("latin-1"), safe="/-_.~")


def canonical_query(query: str) -> str:
    """Return a query, given as it is sent, as it is signed: a ``+`` is a space."""
    pairs = [part.partition("=") for part in query.split("&") if part]
    encoded = [(_encoded(name), _encoded(value)) for name, _, value in pairs]
    return "&".join([f"{name}={value}" for name, value in sorted(encoded)])


def _encoded(text: str) -> str:
    return quote(unquote_to_bytes(text.replace("+", " ").encode("latin-1")), safe="-_.~")


def canonical_request(
    method: str, path: str, query: str, headers: Iterable[tuple[str, str]], payload_hash: str
) -> tuple[str, str]:
    """Return the canonical request, and the names of its fields.

    :param path: canonical.
    :param query: canonical.
    :param headers: those to sign; several of one name are one, joined by commas.
    """
    fields: dict[str, list[str]] = {}
    for name, value in headers:
        fields.setdefault(name.lower(), []).append(_SPACES.sub(" ", value.strip(" \t")))
    lines = "".join([f"{name}:{','.join(values)}\n" for name, values in sorted(fields.items())])
    names = ";".join(sorted(fields))
    return f"{method}\n{path}\n{query}\n{lines}\n{names}\n{payload_hash}", names


def authorization(key: SigningKey, access_key_id: str, when: str, request: str, names: str) -> str:
    """Sign a canonical request, and return the value of Authorization."""
    digest = sha256(request.encode("latin-1")).hexdigest()  # the bytes of field values as they are sent
    text = f"{ALGORITHM}\n{when}\n{key.scope}\n{digest}"
    signature = hmac.new(key.key, text.encode(), "sha256").hexdigest()
    return f"{ALGORITHM} Credential={access_key_id}/{key.scope}, SignedHeaders={names}, Signature={signature}"


def fields_to_sign(host: str, headers: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the fields of a request that are signed."""
    signed = [(name, value) for name, value in headers if _is_signed(name.lower())]
    return [("host", host), *signed]


def _is_signed(name: str) -> bool:
    return name.startswith("x-amz-") or name in {"content-type", "content-md5"}
