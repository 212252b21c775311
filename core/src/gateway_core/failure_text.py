"""Errors of our own requests, in words for a log."""

from __future__ import annotations

import os
import ssl
from typing import Final

_NO_TLS: Final = frozenset({"WRONG_VERSION_NUMBER", "PACKET_LENGTH_TOO_LONG", "RECORD_LAYER_FAILURE"})
"""What OpenSSL, by its version, says of the beginning of a plain text."""


def failure_text(error: BaseException) -> str:
    """Return what went wrong when something was asked over a network, in a few words; never empty.

    An error that says nothing is named by its class.
    """
    if isinstance(error, TimeoutError) and not error.args:
        return "it does not respond in time"
    cause = getattr(error, "os_error", None)
    if isinstance(cause, OSError) and not isinstance(cause, ssl.SSLError):
        reason = system_reason(cause).lower()
        return f"cannot connect to {getattr(error, 'host', '?')}:{getattr(error, 'port', '?')}: {reason}"
    return str(error) or type(error).__name__


def text_of(error: BaseException) -> str:
    """Return what an exception says, on one line; empty if it fails to say it, as one of a plugin may."""
    try:
        return " ".join(str(error).split())
    except BaseException:  # noqa: BLE001  # a call of a plugin's code
        return ""


def lost_text(error: BaseException | None, when: str, hint: str = "") -> str:
    """Return how an upstream ended a connection.

    With TLS 1.3 a server refuses a client's certificate only after the handshake, so that its alert comes here.

    :param error: what the event loop gives to ``connection_lost``.
    :param when: ``before`` or ``within`` its response.
    :param hint: follows where there was no alert.
    """
    if isinstance(error, ssl.SSLError) and error.reason:
        return f"it ended TLS {when} its response: {error.reason.replace('_', ' ').lower()}"
    return f"it closed the connection {when} its response{hint}"


def system_reason(error: BaseException) -> str:
    """Return why something failed in the system's or OpenSSL's words, in place of an event loop's; never empty."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {getattr(error, 'verify_message', '') or error.strerror or error}"
    if isinstance(error, ssl.SSLError) and (code := getattr(error, "reason", None)):
        words = code.replace("_", " ").lower()
        return f"what it sends is not TLS ({words})" if code in _NO_TLS else f"TLS failed: {words}"
    number = getattr(error, "errno", None)
    # Below 0 is an error of name resolution, which has words of its own; OpenSSL counts its own errors.
    if isinstance(number, int) and number > 0 and not isinstance(error, ssl.SSLError):
        return os.strerror(number)
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
