"""What travels through the gateway: requests, responses, their headers and what is recorded of them."""

from gateway_core.messages.claim_path import MISSING, ClaimReader, claim_path
from gateway_core.messages.headers import HeaderError, Headers
from gateway_core.messages.identity import Identity
from gateway_core.messages.record import Attempt, Record
from gateway_core.messages.request import Request, RouteInfo, TlsInfo
from gateway_core.messages.response import BodyTransform, Response

__all__ = [
    "MISSING",
    "Attempt",
    "BodyTransform",
    "ClaimReader",
    "HeaderError",
    "Headers",
    "Identity",
    "Record",
    "Request",
    "Response",
    "RouteInfo",
    "TlsInfo",
    "claim_path",
]
