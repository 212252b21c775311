"""What is said to a Redis server, and what it answers: no I/O here."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Final

from gateway_plugin_ratelimit.algorithms import Concurrency, Decision, Rule

SCRIPT: Final = files("gateway_plugin_ratelimit.stores").joinpath("limits.lua").read_text()
"""Decides on a request; see its head for arguments and answer."""

SCRIPT_SHA: Final = hashlib.sha1(SCRIPT.encode(), usedforsecurity=False).hexdigest()
"""The name under which servers know the script."""

Word = str | int | float


@dataclass(frozen=True, slots=True)
class Call:
    """One call of the script."""

    keys: Sequence[str]
    arguments: Sequence[Word]


def counter_key(prefix: str, counter: str, tag: str | None) -> str:
    """Return a counter's key. What requests are counted by may be a secret, so only its hash leaves the gateway.

    :param tag: what counters share that are checked in one call: a cluster keeps them on one node.
    """
    digest = hashlib.blake2b(counter.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
    return f"{prefix}{{{digest}}}" if tag is None else f"{prefix}{{{tag}}}{digest}"


def cluster_tag(name: str) -> str:
    """Return a name as the part of a key that says to which node it belongs."""
    return hashlib.blake2b(name.encode(), digest_size=8).hexdigest()


def admission(
    keys: Sequence[str],
    rules: Sequence[Rule | Concurrency],
    costs: Sequence[int],
    *,
    member: str,
    lease: float,
    now: float | None = None,
) -> Call:
    """Return the call that charges a request to all of its counters or to none."""
    arguments: list[Word] = ["admit", "" if now is None else repr(now)]
    for rule, cost in zip(rules, costs, strict=True):
        arguments += _described(rule, cost, member, lease)
    return Call(keys, arguments)


def debit(keys: Sequence[str], rules: Sequence[Rule | Concurrency], costs: Sequence[int]) -> Call:
    """Return the call that takes units whether or not they are there."""
    arguments: list[Word] = ["debit", ""]
    for rule, cost in zip(rules, costs, strict=True):
        arguments += _described(rule, cost, "", 0.0)
    return Call(keys, arguments)


def renewal(key: str, member: str, lease: float) -> Call:
    """Return the call that lets a request in progress keep its place."""
    return Call([key], ["renew", "", *_described(Concurrency(0), 0, member, lease)])


def _described(rule: Rule | Concurrency, cost: int, member: str, lease: float) -> list[Word]:
    if isinstance(rule, Concurrency):
        return [rule.code, 0, 0, rule.quota, repr(lease), 0, member]
    parameters = [repr(parameter) for parameter in rule.parameters]
    parameters += ["0"] * (3 - len(parameters))
    return [rule.code, cost, int(rule.counts_refused), *parameters, ""]


def read_reply(reply: Sequence[int]) -> list[Decision]:
    """Return the decision on each counter of an admission."""
    return [
        Decision(bool(reply[at]), None, reply[at + 1], reply[at + 2] / 1e6, reply[at + 3] / 1e6)
        for at in range(0, len(reply), 4)
    ]
