"""Errors that more than one layer speaks of."""

from __future__ import annotations


class GatewayError(Exception):
    """Base of the errors that the gateway raises on purpose."""


class BodyTooLargeError(GatewayError):
    """A request's body is over the limit of whoever wanted to read it; the client is answered 413."""


class ClientGoneError(GatewayError):
    """The client left before its request was complete."""
