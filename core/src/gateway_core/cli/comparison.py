"""What two gateways made of the same requests, compared. Pure; its memory does not grow with the number of requests."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from gateway_core.cli.recording import RecordedRequest

MOST_GROUPS: Final = 1000
"""Kinds of differences that are distinguished; further ones are counted together."""
_MOST_REASONS: Final = 100
_LONGEST_SHOWN: Final = 200


class Decision(NamedTuple):
    """What a gateway did with a request."""

    route: str | None
    """None if no route took it."""
    upstream: str | None
    """None if it was sent to none."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """A response, as far as it is compared."""

    status: int
    headers: Mapping[str, str]
    """Those that are compared and that it has; names in lower case."""
    body: str = ""
    """Its length and digest; empty if bodies are not compared."""
    decision: Decision | None = None
    """None if that is not known."""


class Difference(NamedTuple):
    """One thing that differs, as people read it."""

    what: str
    old: str
    new: str


class Failure(NamedTuple):
    """Why there is no response of a gateway."""

    reason: str


def differences_between(old: Outcome, new: Outcome) -> Iterator[Difference]:
    """Yield what differs; what is known of one of them only does not."""
    if old.decision is not None and new.decision is not None:
        for what, one, other in zip(Decision._fields, old.decision, new.decision, strict=True):
            if one != other:
                yield Difference(what, _shown(one), _shown(other))
    if old.status != new.status:
        yield Difference("status", str(old.status), str(new.status))
    for name in sorted({*old.headers, *new.headers}):
        one, other = old.headers.get(name), new.headers.get(name)
        if one != other:
            yield Difference(f"header {name}", _shown(one), _shown(other))
    if old.body != new.body:
        yield Difference("body", old.body, new.body)


def _shown(value: str | None) -> str:
    return "none" if value is None else value[:_LONGEST_SHOWN]


@dataclass(slots=True)
class Group:
    """Requests of a route that differ in the same things."""

    route: str | None
    differences: Sequence[Difference]
    """Of the first one."""
    example: RecordedRequest
    """The first one."""
    count: int = 0


@dataclass(slots=True)
class Comparison:
    """The differences of all requests so far, by route."""

    compared: int = 0
    different: int = 0
    groups: dict[object, Group] = field(default_factory=dict)
    ungrouped: int = 0
    """Requests that differ in something else than `MOST_GROUPS` before them."""
    undecided: Counter[str] = field(default_factory=Counter)
    """Requests without a response of both, by the reason."""
    left_out: Counter[str] = field(default_factory=Counter)
    """Requests that are sent only on request, by their method."""
    unsent: int = 0
    """Requests that were not reached, as a gateway was gone or the command was interrupted."""

    def add(self, request: RecordedRequest, old: Outcome | Failure, new: Outcome | Failure) -> None:
        """Take what became of a request."""
        if isinstance(old, Failure) or isinstance(new, Failure):
            reasons = [f"{n}: {each.reason}" for n, each in (("old", old), ("new", new)) if isinstance(each, Failure)]
            reason = "; ".join(reasons)[:_LONGEST_SHOWN]
            is_known = reason in self.undecided or len(self.undecided) < _MOST_REASONS
            self.undecided[reason if is_known else "other reasons"] += 1
            return
        self.compared += 1
        if not (found := list(differences_between(old, new))):
            return
        self.different += 1
        route = request.route if old.decision is None else old.decision.route
        # Values of headers and bodies may be another one each time.
        kinds = tuple(each if each.what in {"status", *Decision._fields} else each.what for each in found)
        group = self.groups.get((route, kinds))
        if group is None:
            if len(self.groups) >= MOST_GROUPS:
                self.ungrouped += 1
                return
            group = self.groups[route, kinds] = Group(route, found, request)
        group.count += 1

    @property
    def is_decided(self) -> bool:
        """Whether every request that was to be sent has been compared, and there was one."""
        return bool(self.compared) and not self.undecided and not self.unsent

    def by_route(self) -> list[tuple[str | None, list[Group]]]:
        """Return the groups of each route, most requests first."""
        routes: dict[str | None, list[Group]] = {}
        for group in sorted(self.groups.values(), key=lambda each: -each.count):
            routes.setdefault(group.route, []).append(group)
        return sorted(routes.items(), key=lambda each: -sum(group.count for group in each[1]))

    def to_plain(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {
            "compared": self.compared,
            "same": self.compared - self.different,
            "different": self.different,
            "undecided": dict(self.undecided),
            "left_out": dict(self.left_out),
            "unsent": self.unsent,
            "routes": [
                {
                    "route": route,
                    "count": sum(group.count for group in groups),
                    "groups": [_group_to_plain(group) for group in groups],
                }
                for route, groups in self.by_route()
            ],
            "ungrouped": self.ungrouped,
        }

    def lines(self) -> Iterator[str]:
        """Yield it as people read it."""
        for route, groups in self.by_route():
            yield f"{'no route' if route is None else route}: {sum(group.count for group in groups)} differ"
            for group in groups:
                example = group.example
                yield f"  {group.count} such as {example.method} {example.host}{example.target}"
                yield from (f"    {each.what}: {each.old} -> {each.new}" for each in group.differences)
        if self.ungrouped:
            yield f"{self.ungrouped} more differ in other ways"
        for reason, count in self.undecided.most_common():
            yield f"{count} undecided: {reason}"
        yield self.summary()

    def summary(self) -> str:
        """Return the numbers in one line."""
        parts = [f"{self.compared} compared", f"{self.different} different"]
        if undecided := self.undecided.total():
            parts.append(f"{undecided} undecided")
        if self.left_out:
            methods = ", ".join(f"{count} {method}" for method, count in self.left_out.most_common(10))
            parts.append(f"{methods} left out (--unsafe sends them)")
        if self.unsent:
            parts.append(f"{self.unsent} not sent")
        return ", ".join(parts)


def _group_to_plain(group: Group) -> dict[str, Any]:
    example = group.example
    return {
        "count": group.count,
        "differences": [each._asdict() for each in group.differences],
        "example": {"method": example.method, "host": example.host, "target": example.target},
    }
