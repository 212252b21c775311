"""What is said to a Redis server, and what it replies: no I/O here."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Final

from gateway_plugin_ratelimit.algorithms import Concurrency, Decision, Rule

SCRIPT: Final = files("gateway_plugin_ratelimit.stores").joinpath("limits.lua").read_text()
"""Decides on a request; see its head for arguments and reply."""

SCRIPT_SHA: Final = hashlib.sha1(SCRIPT.encode(), usedforsecurity=False).hexdigest()
"""The name under which servers know the script."""

NONE: Final = "-"
"""A word that stands for no value."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call of the script."""

    keys: Sequence[str]
    words: str
    """Everything else: one argument, since each one costs the client and the server time."""

    member: str = ""
    """Who holds places if the request is let through."""

    places: Sequence[str] = ()
    """Keys under which."""


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
    known: Sequence[int] = (),
) -> Call:
    """Return the call that charges a request to all of its counters or to none.

    :param known: units that are used of each counter as far as is known here: the server takes it that at least so
        many are.
    """
    places = [key for key, rule in zip(keys, rules, strict=True) if isinstance(rule, Concurrency)]
    if not places:
        member = NONE
    words = [f"admit {NONE if now is None else repr(now)}"]
    for index, (rule, cost) in enumerate(zip(rules, costs, strict=True)):
        words.append(f"{cost} {member} {_described(rule, lease)} {known[index] if known else 0}")
    return Call(keys, " ".join(words), member, places)


def debit(keys: Sequence[str], rules: Sequence[Rule | Concurrency], costs: Sequence[int]) -> Call:
    """Return the call that takes units whether or not they are there."""
    words = [f"debit {NONE}"]
    for rule, cost in zip(rules, costs, strict=True):
        words.append(f"{cost} {NONE} {_described(rule, 0.0)} 0")
    return Call(keys, " ".join(words))


def renewal(key: str, member: str, lease: float) -> Call:
    """Return the call that lets a request in progress keep its place."""
    return Call([key], f"renew {NONE} 0 {member} {_described(Concurrency(0), lease)} 0")


@lru_cache(maxsize=1024)
def _described(rule: Rule | Concurrency, lease: float) -> str:
    """Return the five words that tell a rule: made once for each, as rules do not change."""
    if isinstance(rule, Concurrency):
        return f"{rule.code} 0 {rule.quota} {lease!r} 0"
    parameters = [repr(parameter) for parameter in rule.parameters]
    parameters += ["0"] * (3 - len(parameters))
    return f"{rule.code} {int(rule.counts_refused)} {' '.join(parameters)}"


def read_reply(reply: Sequence[int]) -> list[Decision]:
    """Return the decision on each counter of an admission."""
    return [
        Decision(bool(reply[at]), None, reply[at + 1], reply[at + 2] / 1e6, reply[at + 3] / 1e6)
        for at in range(0, len(reply), 4)
    ]
