"""What travels through the gateway: requests, responses, their headers and what is recorded of them."""

from gateway_core.messages.attempt import UpstreamAttempt
from gateway_core.messages.body import BodyFilter
from gateway_core.messages.claim_path import MISSING, ClaimReader, claim_path
from gateway_core.messages.early import EarlyHead, EarlyPass
from gateway_core.messages.fields import FieldBlock, FieldNames, FieldTemplate, HeaderError
from gateway_core.messages.headers import Headers, HeadersKey
from gateway_core.messages.identity import Identity
from gateway_core.messages.received import ReceivedHead, RouteInfo, TlsInfo
from gateway_core.messages.record import Attempt, Record
from gateway_core.messages.request import Request
from gateway_core.messages.response import Response

__all__ = [
    "MISSING",
    "Attempt",
    "BodyFilter",
    "ClaimReader",
    "EarlyHead",
    "EarlyPass",
    "FieldBlock",
    "FieldNames",
    "FieldTemplate",
    "HeaderError",
    "Headers",
    "HeadersKey",
    "Identity",
    "ReceivedHead",
    "Record",
    "Request",
    "Response",
    "RouteInfo",
    "TlsInfo",
    "UpstreamAttempt",
    "claim_path",
]
