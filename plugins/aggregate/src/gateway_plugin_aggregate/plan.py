"""In which order calls are made, and what is wrong with a configuration of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from gateway_plugin_sdk import ConfigFinding

from gateway_plugin_aggregate.config import LONGEST_WITHOUT_PAUSE, AggregateConfig, CallConfig
from gateway_plugin_aggregate.shaping import read_pointer
from gateway_plugin_aggregate.templates import BodyTemplate, Placeholder, parse_template, placeholders_of

KeyPath = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Waits:
    """What a call waits for."""

    needs: frozenset[str]
    """Calls that must have succeeded, or have a default."""
    others: frozenset[str]
    """The required calls that come before one that changes something, so that it is not made in vain."""


def placed_placeholders(call: CallConfig) -> Iterator[tuple[KeyPath, Placeholder]]:
    """Yield the placeholders of a call, each with its place in the call's configuration."""
    texts: list[tuple[KeyPath, str]] = [(("path",), call.path)]
    texts += [(("query", name), text) for name, text in call.query.items()]
    texts += [(("headers", name), text) for name, text in call.headers.items()]
    for place, text in texts:
        for each in placeholders_of(parse_template(text)):
            yield place, each
    if call.body is not None:
        for each in BodyTemplate(call.body).placeholders():
            yield ("body",), each


def needs_of(call: CallConfig) -> frozenset[str]:
    """Return the names of the calls whose success a call needs."""
    used = {each.call for _, each in placed_placeholders(call) if each.call is not None}
    return frozenset(used | set(call.depends_on))


def make_plan(calls: Sequence[CallConfig]) -> dict[str, Waits]:
    """Return what each call waits for; the configuration has no finding."""
    needs = {call.name: needs_of(call) for call in calls}
    plan = {name: Waits(each, frozenset()) for name, each in needs.items()}
    for unsafe in (call.name for call in calls if call.is_unsafe):
        required = {call.name for call in calls if call.required}
        before = {name for name in required if unsafe not in _all_needs(name, needs)} - {unsafe}
        plan[unsafe] = Waits(needs[unsafe], frozenset(before - needs[unsafe]))
    return plan


def _all_needs(name: str, needs: Mapping[str, Iterable[str]]) -> set[str]:
    """Return all that a call needs, directly or not."""
    found: set[str] = set()
    left = [name]
    while left:
        for each in needs.get(left.pop(), ()):
            if each not in found:
                found.add(each)
                left.append(each)
    return found


def find_problems(config: AggregateConfig) -> Iterator[ConfigFinding]:
    """Yield what the calls of a configuration cannot mean together, and warnings."""
    yield from _names(config)
    yield from _order(config)
    yield from _one_change(config)
    yield from _fields(config)
    yield from _response_headers(config)
    yield from _bounds(config)


def _names(config: AggregateConfig) -> Iterator[ConfigFinding]:
    seen: set[str] = set()
    for index, call in enumerate(config.calls):
        if call.name in seen:
            text = f"{call.name!r} is the name of another call, too: give each its own"
            yield ConfigFinding(("calls", index, "name"), text, code="duplicate-call")
        seen.add(call.name)


def _order(config: AggregateConfig) -> Iterator[ConfigFinding]:
    needs = {call.name: needs_of(call) for call in config.calls}
    above: set[str] = set()
    for index, call in enumerate(config.calls):
        uses: list[tuple[KeyPath, str]] = [
            (place, each.call) for place, each in placed_placeholders(call) if each.call is not None
        ]
        uses += [(("depends_on", number), name) for number, name in enumerate(call.depends_on)]
        for place, name in dict.fromkeys(uses):
            if name in above:
                continue
            path = ("calls", index, *place)
            if name not in needs:
                known = ", ".join(sorted(above)) or "none is above"
                text = f"names the call {name!r}, which there is not: write one that is above it ({known})"
                yield ConfigFinding(path, text, code="unknown-call")
            elif name == call.name or call.name in _all_needs(name, needs):
                text = f"the calls {call.name!r} and {name!r} wait for each other: remove one of the two"
                yield ConfigFinding(path, text, code="call-cycle")
            else:
                yield ConfigFinding(path, f"names the call {name!r}, which is below: move it above", code="later-call")
        above.add(call.name)


def _one_change(config: AggregateConfig) -> Iterator[ConfigFinding]:
    unsafe = [(index, call) for index, call in enumerate(config.calls) if call.is_unsafe]
    for index, call in unsafe[1:]:
        first = unsafe[0][1]
        text = (
            f"{call.method} of {call.name!r} would change something beside {first.method} of {first.name!r}, and "
            "nothing undoes the one if the other fails: leave one of them"
        )
        yield ConfigFinding(("calls", index, "method"), text, code="several-changes")


def members_of(call: CallConfig) -> set[str] | None:
    """Return the members of the response that a call makes; None if they are not known."""
    if not call.include:
        return set()
    if call.group is not None:
        return {call.group}
    if call.allow is None:
        return None
    names = {read_pointer(each)[0] for each in call.allow}
    if "*" in names:
        return None
    moved = {steps[0]: new for old, new in call.rename.items() if len(steps := read_pointer(old)) == 1}
    return {moved.get(name, name) for name in names}


def _fields(config: AggregateConfig) -> Iterator[ConfigFinding]:
    owners = dict.fromkeys(config.static, "static")
    groups: set[str] = set()
    for index, call in enumerate(config.calls):
        for name in sorted(members_of(call) or ()):
            if name in owners:
                key = "group" if call.group is not None else "allow"
                is_group = call.group is not None and name in groups
                text = f"{name!r} is already {owners[name]}: give one of them another name"
                code = "duplicate-group" if is_group else "conflicting-fields"
                yield ConfigFinding(("calls", index, key), text, code=code)
            owners[name] = f"a member of the response, from the call {call.name!r}"
        if call.group is not None:
            groups.add(call.group)


def _response_headers(config: AggregateConfig) -> Iterator[ConfigFinding]:
    owners: dict[str, str] = {}
    for index, call in enumerate(config.calls):
        for number, name in enumerate(call.response_headers):
            lowered = name.lower()
            if lowered == "set-cookie":
                continue
            if lowered in owners:
                text = f"{name!r} comes from the call {owners[lowered]!r} already: leave one of them"
                yield ConfigFinding(("calls", index, "response_headers", number), text, code="conflicting-headers")
            owners[lowered] = call.name


def _bounds(config: AggregateConfig) -> Iterator[ConfigFinding]:
    for index, call in enumerate(config.calls):
        if call.max_body_bytes > LONGEST_WITHOUT_PAUSE:
            text = f"more than {LONGEST_WITHOUT_PAUSE} may keep a worker from all other requests for more than 10 ms"
            path = ("calls", index, "max_body_bytes")
            yield ConfigFinding(path, text, code="long-pauses", severity="warning")
        if call.timeout is not None and call.timeout > config.timeout:
            text = f"{call.timeout:g} seconds are never used: all calls have {config.timeout:g} seconds together"
            yield ConfigFinding(("calls", index, "timeout"), text, code="unused-timeout", severity="warning")


def client_placeholders(calls: Iterable[CallConfig]) -> Iterator[tuple[int, KeyPath, Placeholder]]:
    """Yield the placeholders for values of the client's, with the index of the call and their place in it."""
    for index, call in enumerate(calls):
        for place, each in placed_placeholders(call):
            if each.call is None:
                yield index, place, each
