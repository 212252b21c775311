"""The value types of configuration models: how they are written, checked and described in the JSON Schema."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Final, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainSerializer,
    PlainValidator,
    Strict,
    ValidationInfo,
    WithJsonSchema,
)

from gateway_core.config.suggestions import EMPTY, Fault
from gateway_core.regex import Pattern, PatternSyntaxError, SlowPatternError, compile_pattern

CANONICAL: Final = {"canonical": True}
"""Validation context for values that were validated before: durations and sizes are plain numbers."""


class InvalidValueError(ValueError):
    """A value that is refused: the reason, which reads on after the quoted value, and the remedy behind it.

    As a text it is both: ``is not a duration: write for example 5s``.
    """

    def __init__(self, reason: str, *, remedy: str = "", code: str = "value.invalid") -> None:
        super().__init__(f"{reason}: {remedy}" if remedy else reason)
        self.reason = reason
        self.remedy = remedy
        self.code = code


class InconsistentError(InvalidValueError):
    """A section whose keys do not go together; the reason stands alone."""

    def __init__(self, reason: str, *, remedy: str = "", code: str = "value.inconsistent") -> None:
        super().__init__(reason, remedy=remedy, code=code)


def refuse(faults: Sequence[Fault]) -> None:
    """Refuse a section for what is wrong between its keys, if anything is.

    :raises InconsistentError: with all of it.
    """
    if len(faults) == 1:
        raise InconsistentError(faults[0].reason, remedy=faults[0].remedy)
    if faults:
        raise InconsistentError("; ".join(f"{reason}: {remedy}" if remedy else reason for reason, remedy in faults))


def is_canonical(info: ValidationInfo) -> bool:
    """Whether the input is the output of :meth:`LoadedConfig.to_lines`."""
    return info.context is CANONICAL


def _reader(read: Callable[[object], Any], kinds: tuple[type, ...]) -> Callable[[object, ValidationInfo], Any]:
    def validate(value: object, info: ValidationInfo) -> Any:
        if isinstance(value, kinds) and is_canonical(info):
            return value
        return read(value)

    return validate


def _not_empty(value: Sequence[object], info: ValidationInfo) -> Sequence[object]:
    if not value and not is_canonical(info):
        raise InvalidValueError(EMPTY.reason, remedy=EMPTY.remedy)
    return value


NOT_EMPTY: Final = AfterValidator(_not_empty)
"""For lists of which none at all means another thing than an empty one seems to say."""


# --- durations -------------------------------------------------------------------------------------------------------

DURATION_PATTERN: Final = r"^([0-9]+(\.[0-9]+)?)(ms|s|m|h|d)$"
_ZERO: Final = "0"
DURATION_WORD: Final = "a duration"
_DURATION: Final = re.compile(DURATION_PATTERN)
_SECONDS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
LONGEST_DURATION: Final = 3650 * 86400.0


def parse_duration(value: object) -> float:
    """Return the seconds that ``250ms``, ``5s``, ``2m``, ``1h`` or ``1d`` stand for; 0 needs no unit.

    :raises InvalidValueError: for anything else.
    """
    if isinstance(value, str) and (match := _DURATION.fullmatch(value)):
        # Division keeps 250ms at exactly 0.25.
        seconds = float(match[1]) / 1000 if match[3] == "ms" else float(match[1]) * _SECONDS[match[3]]
        if seconds > LONGEST_DURATION:
            raise InvalidValueError("is longer than ten years")
        return seconds
    if value == _ZERO:  # as templates and environment variables give it
        return 0.0
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        if value == 0:
            return 0.0
        if value < 0:
            raise InvalidValueError("is negative", remedy="write 0 where it stands for none")
        raise InvalidValueError("has no unit", remedy=f"write {value}s for seconds or {value}ms for milliseconds")
    raise InvalidValueError("is not a duration", remedy="write for example 250ms, 5s, 2m, 1h or 1d")


def duration_text(seconds: float) -> str:
    """Return a duration as documents have it, in the largest unit that it is a whole number of."""
    if not seconds:
        return _ZERO
    for unit in reversed(_SECONDS):
        if seconds % _SECONDS[unit] == 0:
            return f"{seconds / _SECONDS[unit]:.0f}{unit}"
    return f"{seconds * 1000:.6f}".rstrip("0").rstrip(".") + "ms"


def _positive(value: float) -> float:
    if value <= 0:
        raise InvalidValueError("is not longer than 0", remedy="write a longer one, or leave it out")
    return value


Duration = Annotated[
    float,
    BeforeValidator(_reader(parse_duration, (int, float))),
    WithJsonSchema(
        {
            "anyOf": [{"type": "string", "pattern": DURATION_PATTERN}, {"enum": [0, _ZERO]}],
            "x-expected": DURATION_WORD,
            "x-remedy": "write for example 250ms, 5s, 2m, 1h or 1d",
        }
    ),
]
"""Seconds as a float; written ``250ms``, ``5s``, ``2m``, ``1h`` or ``1d``."""

PositiveDuration = Annotated[
    float,
    BeforeValidator(_reader(parse_duration, (int, float))),
    AfterValidator(_positive),
    WithJsonSchema(
        {
            "type": "string",
            "pattern": DURATION_PATTERN,
            "x-expected": DURATION_WORD,
            "x-remedy": "write for example 250ms, 5s, 2m, 1h or 1d",
        }
    ),
]
"""A duration that is not 0."""


# --- sizes -----------------------------------------------------------------------------------------------------------

SIZE_PATTERN: Final = r"^([0-9]+(\.[0-9]+)?)(B|kB|KB|MB|GB|TB|KiB|MiB|GiB|TiB)$"
_SIZE: Final = re.compile(SIZE_PATTERN)
_BYTES: Final = {
    "B": 1, "kB": 10**3, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12,
    "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40,
}  # fmt: skip
LARGEST_SIZE: Final = 2**60


def parse_size(value: object) -> int:
    """Return the bytes that ``64KiB``, ``1MiB``, ``10MB`` or a bare number stand for.

    :raises InvalidValueError: for anything else.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        size = value
    elif isinstance(value, str) and (match := _SIZE.fullmatch(value)):
        size = round(float(match[1]) * _BYTES[match[3]])
    else:
        raise InvalidValueError("is not a size", remedy="write bytes, or for example 64KiB, 1MiB or 10MB")
    if not 0 <= size <= LARGEST_SIZE:
        raise InvalidValueError("is not a size between 0 and 1024 PiB")
    return size


Size = Annotated[
    int,
    BeforeValidator(_reader(parse_size, (int,))),
    WithJsonSchema(
        {
            "anyOf": [{"type": "integer", "minimum": 0}, {"type": "string", "pattern": SIZE_PATTERN}],
            "x-expected": "a size",
            "x-remedy": "write bytes, or for example 64KiB, 1MiB or 10MB",
        }
    ),
]
"""Bytes as an int; written as bytes or ``64KiB``, ``1MiB``, ``10MB``."""


def _positive_size(value: int) -> int:
    if not value:
        raise InvalidValueError("is not larger than 0")
    return value


PositiveSize = Annotated[
    int,
    BeforeValidator(_reader(parse_size, (int,))),
    AfterValidator(_positive_size),
    WithJsonSchema(
        {
            "anyOf": [{"type": "integer", "minimum": 1}, {"type": "string", "pattern": SIZE_PATTERN}],
            "x-expected": "a size",
            "x-remedy": "write bytes, or for example 64KiB, 1MiB or 10MB",
        }
    ),
]
"""A size that is not 0."""


# --- numbers, switches and texts -------------------------------------------------------------------------------------

Switch = Annotated[bool, Strict()]
"""``true`` or ``false``; no other spelling."""

Integer = Annotated[int, Strict()]
Count = Annotated[int, Strict(), Field(ge=0)]
"""A whole number, 0 or more; where it limits something, 0 is no limit."""
PositiveCount = Annotated[int, Strict(), Field(ge=1)]
Weight = Annotated[int, Strict(), Field(ge=0, le=1_000_000)]
"""A share relative to its neighbours; 0 takes none."""
Port = Annotated[int, Strict(), Field(ge=0, le=65535)]
Number = Annotated[float, Strict()]
Percent = Annotated[float, Strict(), Field(ge=0, le=100)]
"""0 to 100."""
Ratio = Annotated[float, Strict(), Field(ge=0, le=1)]
"""0 to 1."""

_NAME: Final = re.compile(r"[^\s\x00-\x1f\x7f\"'](?:[^\x00-\x1f\x7f\"']*[^\s\x00-\x1f\x7f\"'])?")
_LONGEST_NAME: Final = 200


def _check_name(value: object) -> str:
    if not isinstance(value, str):
        raise InvalidValueError("is not a name", remedy="" if isinstance(value, (dict, list)) else "put it in quotes")
    if not value:
        raise InvalidValueError("is empty, where a name is expected")
    if len(value) > _LONGEST_NAME or not _NAME.fullmatch(value):
        remedy = f"write up to {_LONGEST_NAME} printable characters, without quotes in it"
        raise InvalidValueError("is not a name", remedy=remedy)
    return value


Name = Annotated[
    str,
    PlainValidator(_check_name),
    WithJsonSchema({"type": "string", "minLength": 1, "maxLength": _LONGEST_NAME}),
]
"""What routes, upstreams, endpoints and bindings are called; shown in logs and metrics."""

TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""A token of RFC 9110, section 5.6.2: methods, header names and cookie names."""


def _check_method(value: str) -> str:
    if value.upper() in {"*", "ANY", "ALL"}:
        raise InvalidValueError("is no request method", remedy="leave methods out, which takes every method")
    if not TOKEN.fullmatch(value):
        raise InvalidValueError("is not a request method")
    if value != value.upper():
        raise InvalidValueError("is not a request method, they are case-sensitive", remedy=f"write {value.upper()}")
    return value


Method = Annotated[str, AfterValidator(_check_method)]
"""A request method in capitals."""


def _check_header_name(value: str) -> str:
    if not TOKEN.fullmatch(value):
        raise InvalidValueError("is not a header name")
    return value


HeaderName = Annotated[str, AfterValidator(_check_header_name)]


def check_header_value(value: str) -> str:
    """Refuse what a header field cannot hold.

    :raises InvalidValueError: with a text that does not quote the value.
    """
    if any(ord(character) < 0x20 and character != "\t" for character in value) or "\x7f" in value:
        raise InvalidValueError("holds a control character, which a header cannot")
    return value


HeaderValue = Annotated[str, AfterValidator(check_header_value)]


def _check_regex(value: str) -> str:
    try:
        compile_pattern(value, Pattern)
    except PatternSyntaxError as error:
        raise InvalidValueError(f"is not a regular expression: {error.detail}") from None
    except SlowPatternError as error:
        raise InvalidValueError(f"is too slow a regular expression: {error.detail}", code=error.code) from None
    return value


Regex = Annotated[str, AfterValidator(_check_regex), WithJsonSchema({"type": "string", "format": "regex"})]
"""A Python regular expression that must match the whole value."""

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


_MAPPED_BITS: Final = 96
"""Bits before an IPv4 address that is mapped into IPv6 (RFC 4291 section 2.5.5.2)."""
_NETWORK_HINT: Final = "write for example 10.0.0.0/8, ::1 or 192.168.1.7"


def parse_network(value: object, remedy: str = _NETWORK_HINT) -> Network:
    """Read an address or CIDR network; one of IPv4 that is mapped into IPv6 is one of IPv4.

    :param remedy: what to write instead of something that is none.
    :raises InvalidValueError: also for host bits that are set, naming the network that was probably meant.
    """
    if isinstance(value, (ipaddress.IPv4Network, ipaddress.IPv6Network)):
        return value
    if not isinstance(value, str):
        raise InvalidValueError("is not a network", remedy=remedy)
    try:
        network = ipaddress.ip_network(value, strict=False)
    except ValueError:
        raise InvalidValueError("is not a network", remedy=remedy) from None
    if "/" in value and str(network.network_address) != str(ipaddress.ip_address(value.split("/")[0])):
        raise InvalidValueError(
            "is an address inside a network",
            remedy=f"write {network} for the network, or drop the /{network.prefixlen}",
        )
    if isinstance(network, ipaddress.IPv6Network) and network.prefixlen >= _MAPPED_BITS:
        mapped = network.network_address.ipv4_mapped
        if mapped is not None:
            # Such addresses of peers are read as IPv4 as well: no network of the other family would have them.
            return ipaddress.IPv4Network((int(mapped), network.prefixlen - _MAPPED_BITS))
    return network


IpNetwork = Annotated[
    Network,
    PlainValidator(parse_network),
    PlainSerializer(str, return_type=str),
    WithJsonSchema(
        {"type": "string", "x-expected": "a network", "x-remedy": "write for example 10.0.0.0/8, ::1 or 192.168.1.7"}
    ),
]
"""An IPv4 or IPv6 network; a single address is a network of one."""

_TRUSTED_HINT: Final = "write for example 10.0.0.0/8, ::1, 192.168.1.7, or unix: for peers on unix sockets"


def parse_trusted_peer(value: object) -> Network | Literal["unix:"]:
    """Read an address, a CIDR network or ``unix:``.

    :raises InvalidValueError: for anything else.
    """
    if value == "unix:":
        return "unix:"
    if isinstance(value, str) and value.lower().startswith("unix"):
        raise InvalidValueError(
            "is not a network", remedy="write unix: alone, it stands for every peer on a unix socket"
        )
    return parse_network(value, _TRUSTED_HINT)


TrustedPeer = Annotated[
    Network | Literal["unix:"],
    PlainValidator(parse_trusted_peer),
    PlainSerializer(str, return_type=str),
    WithJsonSchema({"type": "string", "x-expected": "a network", "x-remedy": _TRUSTED_HINT}),
]
"""A network whose peers are believed, or ``unix:`` for all peers on unix sockets."""
