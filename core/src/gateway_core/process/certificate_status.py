"""What the status and metrics show of certificates: their validity, and how those that are ordered are got. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from gateway_core.hooks import IssuanceStatus
from gateway_core.metrics.catalogue import CERTIFICATE_FAILURE, CERTIFICATE_SUCCESS
from gateway_core.metrics.samples import Samples
from gateway_core.process.certificate_expiry import Validity

Issuance = Sequence[tuple[str, IssuanceStatus]]
"""By address of the listener."""


def describe_certificates(validities: Iterable[tuple[str, Validity]], issuance: Issuance) -> list[dict[str, Any]]:
    """Return each certificate in use, and those that are to be had and are not there.

    :returns: ``not_after`` is None for the latter; ``issuance`` is None for certificates that are not ordered.
    """
    ordered = {(listener, each.names[0]): each for listener, each in issuance if each.names}
    shown = [
        {
            "listener": listener,
            "name": each.name,
            "not_before": _text(each.not_before),
            "not_after": _text(each.not_after),
            "issuance": _describe(ordered.pop((listener, each.name), None)),
        }
        for listener, each in validities
    ]
    return shown + [
        {"listener": listener, "name": name, "not_before": None, "not_after": None, "issuance": _describe(each)}
        for (listener, name), each in ordered.items()
    ]


def _describe(status: IssuanceStatus | None) -> dict[str, Any] | None:
    if status is None:
        return None
    return {
        "names": list(status.names),
        "is_failing": status.is_failing,
        "last_success": _text(status.last_success),
        "last_failure": _text(status.last_failure),
        "error": status.error,
        "next_attempt": _text(status.next_attempt),
    }


def _text(seconds: float) -> str | None:
    return datetime.fromtimestamp(seconds, UTC).isoformat() if seconds else None


def put_issuance(samples: Samples, issuance: Issuance) -> None:
    """Add when certificates were issued last, and when that failed last."""
    for listener, each in issuance:
        if each.names:
            samples.one(CERTIFICATE_SUCCESS, each.last_success, listener, each.names[0])
            samples.one(CERTIFICATE_FAILURE, each.last_failure, listener, each.names[0])
