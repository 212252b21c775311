"""Errors of our own requests, in words for a log."""

from __future__ import annotations

import os
import ssl


def failure_text(error: BaseException) -> str:
    """Return what went wrong when something was asked over a network, in a few words; never empty.

    An error that says nothing is named by its class.
    """
    if isinstance(error, TimeoutError) and not error.args:
        return "it does not respond in time"
    cause = getattr(error, "os_error", None)
    if isinstance(cause, OSError) and not isinstance(cause, ssl.SSLError):
        number = cause.errno or 0  # below 0 is one of name resolution, which has words of its own
        reason = os.strerror(number) if number > 0 else cause.strerror or str(cause)
        return f"cannot connect to {getattr(error, 'host', '?')}:{getattr(error, 'port', '?')}: {reason.lower()}"
    return str(error) or type(error).__name__
