"""When a chain of certificates expires.

A certificate is of no use once one of those that issued it has expired. Such an issuer is reported only where it
expires before what it has issued: then it is the one to renew, and otherwise the certificate itself comes first.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple


class Validity(NamedTuple):
    """From when until when a certificate is valid, in seconds since the epoch."""

    name: str
    """The first that it is for; of an issuer, its own with that of the certificate."""
    not_before: float
    not_after: float


def issuers_in(file: str) -> Sequence[Mapping[str, Any]]:
    """Return the certificates of authorities in a file with at least one certificate, as `ssl` decodes them."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(file)
    return context.get_ca_certs()


def validities(name: str, certificate: Mapping[str, Any], issuers: Sequence[Mapping[str, Any]]) -> Iterator[Validity]:
    """Yield the validity of a certificate, then that of issuers that expire earlier.

    Of several issuers with one name, which clients choose among, the one that expires last counts.
    """
    last = ssl.cert_time_to_seconds(certificate["notAfter"])
    yield _validity(name, certificate)
    by_name: dict[object, Mapping[str, Any]] = {}
    for each in sorted(issuers, key=lambda each: ssl.cert_time_to_seconds(each["notAfter"])):
        if each["subject"] != each["issuer"]:  # clients have roots of their own
            by_name[each["subject"]] = each
    issuer = by_name.pop(certificate["issuer"], None)
    while issuer is not None:
        until = ssl.cert_time_to_seconds(issuer["notAfter"])
        if until < last:
            last = until
            yield _validity(f"{_common_name(issuer)} (issuer of {name})", issuer)
        issuer = by_name.pop(issuer["issuer"], None)


def _validity(name: str, certificate: Mapping[str, Any]) -> Validity:
    start, end = (ssl.cert_time_to_seconds(certificate[each]) for each in ("notBefore", "notAfter"))
    return Validity(name, float(start), float(end))


def _common_name(certificate: Mapping[str, Any]) -> str:
    named = [value for part in certificate["subject"] for kind, value in part if kind == "commonName"]
    return named[0] if named else "an authority"
