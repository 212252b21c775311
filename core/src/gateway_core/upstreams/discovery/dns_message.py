"""DNS messages (RFC 1035 section 4, RFC 2782): as much as a client needs to ask for addresses and services.

The parser is strict and bounded: names point only backwards, nothing is read past the end, and what does not answer
our question is an error.
"""

from __future__ import annotations

import ipaddress
import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

_HEADER: Final = struct.Struct("!6H")
_RECORD: Final = struct.Struct("!HHIH")
_SRV: Final = struct.Struct("!3H")
_QUESTION: Final = struct.Struct("!2H")

_CLASS_IN: Final = 1
_FLAG_RESPONSE: Final = 0x8000
_FLAG_TRUNCATED: Final = 0x0200
_FLAG_RECURSION_DESIRED: Final = 0x0100
_OPCODE: Final = 0x7800
_RCODE: Final = 0x000F
_POINTER: Final = 0xC0
LONGEST_NAME: Final = 255
LONGEST_LABEL: Final = 63
MOST_RECORDS: Final = 4096
MOST_ALIASES: Final = 16


class RecordType(IntEnum):
    """The records that are understood."""

    A = 1
    CNAME = 5
    AAAA = 28
    SRV = 33


class DnsFormatError(ValueError):
    """A message that is not a proper answer to the question."""


@dataclass(frozen=True, slots=True)
class Service:
    """One SRV record."""

    priority: int
    weight: int
    port: int
    target: str


@dataclass(frozen=True, slots=True)
class Record:
    """One record of an answer."""

    name: str
    type: RecordType
    ttl: int
    value: str | Service
    """An address, the target of an alias, or a service."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A parsed response."""

    rcode: int
    is_truncated: bool
    records: tuple[Record, ...]


def encode_query(query_id: int, name: str, record_type: RecordType) -> bytes:
    """Return a recursive query for one name.

    :raises DnsFormatError: for a name that cannot be asked for.
    """
    header = _HEADER.pack(query_id, _FLAG_RECURSION_DESIRED, 1, 0, 0, 0)
    return header + encode_name(name) + _QUESTION.pack(record_type, _CLASS_IN)


def encode_name(name: str) -> bytes:
    """Return a name as length-prefixed labels (section 3.1)."""
    encoded = bytearray()
    for label in name.rstrip(".").split(".") if name.rstrip(".") else ():
        octets = label.encode("ascii") if label.isascii() else label.encode("idna")
        if not 0 < len(octets) <= LONGEST_LABEL:
            raise DnsFormatError(f"{name!r} has an empty label or one of more than {LONGEST_LABEL} octets")
        encoded.append(len(octets))
        encoded += octets
    encoded.append(0)
    if len(encoded) > LONGEST_NAME:
        raise DnsFormatError(f"{name[:64]!r}... is longer than {LONGEST_NAME} octets")
    return bytes(encoded)


def decode_answer(message: bytes, query: bytes) -> Answer:
    """Parse a response.

    :param query: what was asked; the response has to repeat its id and question.
    :raises DnsFormatError: for anything that is not a proper response to the query.
    """
    if len(message) < _HEADER.size:
        raise DnsFormatError("message is shorter than its header")
    query_id, flags, questions, answers, _, _ = _HEADER.unpack_from(message)
    if query_id != _HEADER.unpack_from(query)[0] or not flags & _FLAG_RESPONSE or flags & _OPCODE:
        raise DnsFormatError("message is no response to the query")
    offset = _skip_question(message, questions, query)
    if answers > MOST_RECORDS:
        raise DnsFormatError(f"{answers} records are more than {MOST_RECORDS}")
    records: list[Record] = []
    is_truncated = bool(flags & _FLAG_TRUNCATED)
    # The records of a truncated message are incomplete by definition: it is asked for again over TCP.
    for _ in range(0 if is_truncated else answers):
        offset, record = _decode_record(message, offset)
        if record is not None:
            records.append(record)
    return Answer(flags & _RCODE, is_truncated, tuple(records))


def follow_aliases(answer: Answer, name: str, record_type: RecordType) -> list[Record]:
    """Return the records of one type that belong to a name, through its aliases (CNAME)."""
    aliases = {r.name: r.value for r in answer.records if r.type is RecordType.CNAME and isinstance(r.value, str)}
    current = name.rstrip(".").lower()
    for _ in range(MOST_ALIASES):
        found = [r for r in answer.records if r.type is record_type and r.name == current]
        if found or current not in aliases:
            return found
        current = aliases[current]
    raise DnsFormatError(f"{name!r} has more than {MOST_ALIASES} aliases")


def _skip_question(message: bytes, questions: int, query: bytes) -> int:
    if questions != 1:
        raise DnsFormatError(f"response repeats {questions} questions instead of 1")
    asked_name, asked_end = _decode_name(query, _HEADER.size)
    name, end = _decode_name(message, _HEADER.size)
    asked = query[asked_end : asked_end + _QUESTION.size]
    if name != asked_name or message[end : end + _QUESTION.size] != asked:
        raise DnsFormatError("response answers another question")
    return end + _QUESTION.size


def _decode_record(message: bytes, offset: int) -> tuple[int, Record | None]:
    name, offset = _decode_name(message, offset)
    if offset + _RECORD.size > len(message):
        raise DnsFormatError("record ends before its header does")
    kind, record_class, ttl, length = _RECORD.unpack_from(message, offset)
    start = offset + _RECORD.size
    end = start + length
    if end > len(message):
        raise DnsFormatError("record is longer than the message")
    if record_class != _CLASS_IN or kind not in RecordType.__members__.values():
        return end, None
    record_type = RecordType(kind)
    # RFC 2181 section 8: a TTL with the top bit set is 0.
    return end, Record(name, record_type, ttl if ttl < 1 << 31 else 0, _decode_value(message, start, end, record_type))


def _decode_value(message: bytes, start: int, end: int, record_type: RecordType) -> str | Service:
    octets = message[start:end]
    if record_type in {RecordType.A, RecordType.AAAA}:
        if len(octets) != (4 if record_type is RecordType.A else 16):
            raise DnsFormatError(f"{record_type.name} record of {len(octets)} octets")
        return str(ipaddress.ip_address(octets))
    head = _SRV.size if record_type is RecordType.SRV else 0
    if len(octets) <= head:
        raise DnsFormatError(f"{record_type.name} record of {len(octets)} octets")
    target, stop = _decode_name(message, start + head)
    if stop != end:
        raise DnsFormatError(f"{record_type.name} record does not end with its name")
    if not head:
        return target
    priority, weight, port = _SRV.unpack(octets[:head])
    return Service(priority, weight, port, target)


def _decode_name(message: bytes, offset: int) -> tuple[str, int]:
    """Return a name in lower case without the final dot, and where what follows it begins."""
    labels: list[str] = []
    length = 1
    end = -1
    limit = offset
    while True:
        if offset >= len(message):
            raise DnsFormatError("name ends after the message")
        size = message[offset]
        if size & _POINTER == _POINTER and offset + 1 < len(message):
            end = offset + 2 if end < 0 else end
            offset = (size & ~_POINTER) << 8 | message[offset + 1]
            # Only ever further back: there is no way to go in circles.
            if offset >= limit:
                raise DnsFormatError("name points forward")
            limit = offset
            continue
        if size > LONGEST_LABEL:
            raise DnsFormatError("name has an unknown kind of label")
        offset += 1
        if size == 0:
            return ".".join(labels), offset if end < 0 else end
        if offset + size > len(message):
            raise DnsFormatError("label is longer than the message")
        length += size + 1
        if length > LONGEST_NAME:
            raise DnsFormatError(f"name is longer than {LONGEST_NAME} octets")
        labels.append(message[offset : offset + size].decode("latin-1").lower())
        offset += size
