"""Rules as functions of a request, in Kleene's logic of three values: True, False, and None for "not known".

=======  =====================================================
``any``  True if one is True, else None if one is None
``all``  False if one is False, else None if one is None
``not``  the opposite; None stays None
=======  =====================================================

Only True lets a request pass.

A rule is a tree of conditions on the caller and on the request. The first ones are the same for every request of a
caller, so a caller (an `Identity`, which does not change) that comes again and again gets a rule of its own, in which
they are replaced by what they came to: what is left is often one condition, or nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import Final, Literal, NamedTuple, TypeAlias

from gateway_plugin_sdk import MISSING, Identity, Request

from gateway_plugin_authorize.config import AuthorizeConfig, ClaimRule, IdentityName, Rule, kind_of
from gateway_plugin_authorize.consumers import Consumer
from gateway_plugin_authorize.facts import SetOfCaller, claim_reader, members, words

Verdict: TypeAlias = bool | None
Compiled: TypeAlias = Callable[[Request], Verdict]
FindConsumer: TypeAlias = Callable[[Identity], Consumer | None]

MOST_KNOWN: Final = 1024
"""Callers whose rules are remembered."""

MOST_WAITING: Final = 64
"""Callers of which it is remembered that they came once. More would keep the memory of callers that never come again,
which costs them more than the rule itself."""
_EVERY: Final = 7
"""Of so many requests of callers that are not known one is remembered: who comes often is soon among them."""

ANONYMOUS: Final = "anonymous"
"""The scheme of an identity that stands for callers who are not known."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What rules ask of callers."""

    groups: SetOfCaller
    roles: SetOfCaller
    scopes: SetOfCaller
    find: FindConsumer | None
    ignore_case: bool = False


def facts_of(config: AuthorizeConfig, find: FindConsumer | None) -> Facts:
    """Return the facts that a configuration describes.

    :param find: finds the consumer of an identity.
    """
    return Facts(
        SetOfCaller(config.groups_claim, members, find),
        SetOfCaller(config.roles_claim, members),
        SetOfCaller(config.scopes_claim, words),
        find,
        config.ignore_case,
    )


def compile_rule(rule: Rule, facts: Facts) -> Compiled:
    """Return a rule as a function."""
    node = _node(rule, facts)
    return _remembering(node) if asks_for_identity(rule) else _function(node)


class _Leaf(NamedTuple):
    """A condition."""

    holds: Compiled
    is_of_caller: bool
    """Whether it is the same for all requests of a caller."""


class _Branch(NamedTuple):
    """Several rules, or the opposite of one."""

    kind: Literal["any", "all", "not"]
    nodes: tuple[_Node, ...]


_Node: TypeAlias = _Leaf | _Branch


def _node(rule: Rule, facts: Facts) -> _Node:
    # What costs least comes first: its False ends the rest.
    nodes: list[_Node] = [_Leaf(holds, False) for holds in _of_request(rule, facts)]
    nodes += [_Leaf(holds, True) for holds in _of_caller(rule, facts)]
    if rule.not_ is not None:
        nodes.append(_Branch("not", (_node(rule.not_, facts),)))
    if rule.any is not None:
        nodes.append(_Branch("any", tuple([_node(each, facts) for each in rule.any])))
    if rule.all is not None:
        nodes.append(_Branch("all", tuple([_node(each, facts) for each in rule.all])))
    return nodes[0] if len(nodes) == 1 else _Branch("all", tuple(nodes))


def _function(node: _Node) -> Compiled:
    if isinstance(node, _Leaf):
        return node.holds
    parts = [_function(each) for each in node.nodes]
    if node.kind == "not":
        return _not(parts[0])
    return _any(parts) if node.kind == "any" else _all(parts)


def _specialise(node: _Node, request: Request) -> Verdict | Compiled:
    """Return what is left to ask of the requests of a caller: often nothing, or one condition."""
    if isinstance(node, _Leaf):
        return node.holds(request) if node.is_of_caller else node.holds
    found = [_specialise(each, request) for each in node.nodes]
    if node.kind == "not":
        return _not(found[0]) if callable(found[0]) else None if found[0] is None else not found[0]
    decides = node.kind == "any"
    if decides in found:
        return decides
    open_ones = [each for each in found if callable(each)]
    rest: Verdict = None if None in found else not decides
    if not open_ones:
        return rest
    if len(open_ones) == 1 and rest is not None:
        return open_ones[0]
    return _any(open_ones, rest) if decides else _all(open_ones, rest)


def _remembering(node: _Node) -> Compiled:
    """Return a rule that is specialised for callers that come again and again."""
    known: dict[int, tuple[Identity, Verdict | Compiled]] = {}
    came_once: dict[int, Identity] = {}
    evaluate = _function(node)
    is_noted = cycle([True] + [False] * (_EVERY - 1)).__next__

    def holds(request: Request) -> Verdict:
        identity = request.identity
        if identity is None:
            return evaluate(request)
        key = id(identity)
        found = known.get(key)
        if found is not None and found[0] is identity:
            rule = found[1]
            return rule(request) if callable(rule) else rule
        if came_once.get(key) is not identity:
            if is_noted():
                if len(came_once) >= MOST_WAITING:
                    came_once.clear()
                came_once[key] = identity  # the reference keeps the id from being another's
            return evaluate(request)
        if len(known) >= MOST_KNOWN:
            known.clear()
        del came_once[key]
        rule = _specialise(node, request)
        known[key] = identity, rule
        return rule(request) if callable(rule) else rule

    return holds


def _of_request(rule: Rule, facts: Facts) -> list[Compiled]:
    parts = [] if rule.methods is None else [_methods(frozenset(rule.methods))]
    return parts + _paths(rule, facts.ignore_case)


def _of_caller(rule: Rule, facts: Facts) -> list[Compiled]:
    parts: list[Compiled] = []
    if rule.authenticated is not None:
        parts.append(_is_authenticated)
    if rule.identity is not None:
        parts.append(_identity(rule.identity))
    if rule.consumers is not None:
        parts.append(_consumers(frozenset(rule.consumers), facts.find))
    for names, source in ((rule.groups, facts.groups), (rule.roles, facts.roles), (rule.scopes, facts.scopes)):
        if names is not None:
            parts.append(source.condition(frozenset(names)))
    if rule.claim is not None:
        parts.append(_claim(rule.claim))
    return parts


def asks_for_identity(rule: Rule) -> bool:
    """Return whether a rule looks at the caller."""
    own = (rule.authenticated, rule.identity, rule.consumers, rule.groups, rule.roles, rule.scopes, rule.claim)
    return any(each is not None for each in own) or any(map(asks_for_identity, _within(rule)))


def _within(rule: Rule) -> tuple[Rule, ...]:
    return (*(rule.any or ()), *(rule.all or ()), *([rule.not_] if rule.not_ is not None else ()))


def _any(rules: Sequence[Compiled], otherwise: Verdict = False) -> Compiled:
    if len(rules) == 2 and otherwise is False:  # as mostly
        first, second = rules

        def either_holds(request: Request) -> Verdict:
            verdict = first(request)
            if verdict:
                return True
            other = second(request)
            return other if verdict is False or other else None

        return either_holds
    each = tuple(rules)

    def holds(request: Request) -> Verdict:
        found = otherwise
        for rule in each:
            verdict = rule(request)
            if verdict:
                return True
            if verdict is None:
                found = None
        return found

    return holds


def _all(rules: Sequence[Compiled], otherwise: Verdict = True) -> Compiled:
    if len(rules) == 2 and otherwise is True:
        first, second = rules

        def both_hold(request: Request) -> Verdict:
            verdict = first(request)
            if verdict is False:
                return False
            other = second(request)
            return other if verdict or other is False else None

        return both_hold
    each = tuple(rules)

    def holds(request: Request) -> Verdict:
        found = otherwise
        for rule in each:
            verdict = rule(request)
            if verdict is False:
                return False
            if verdict is None:
                found = None
        return found

    return holds


def _not(rule: Compiled) -> Compiled:
    def holds(request: Request) -> Verdict:
        verdict = rule(request)
        return None if verdict is None else not verdict

    return holds


def _methods(methods: frozenset[str]) -> Compiled:
    return lambda request: request.method in methods


def _paths(rule: Rule, ignore_case: bool) -> list[Compiled]:
    parts: list[Compiled] = []
    if rule.paths is not None:
        exact = frozenset([_folded(path) if ignore_case else path for path in rule.paths])
        parts.append(_path_condition(exact, (), ignore_case))
    if rule.path_prefixes is not None:
        roots = [(_folded(path) if ignore_case else path).rstrip("/") for path in rule.path_prefixes]
        parts.append(_path_condition(frozenset(roots), tuple([f"{root}/" for root in roots]), ignore_case))
    return parts


def _path_condition(exact: frozenset[str], below: tuple[str, ...], ignore_case: bool) -> Compiled:
    """Return whether the path is one of these, or begins with one of those."""

    def is_there(request: Request) -> Verdict:
        path = _folded(request.path) if ignore_case else request.path
        return path in exact or path.startswith(below)

    return is_there


def _folded(path: str) -> str:
    return path.upper().casefold()


def _is_authenticated(request: Request) -> Verdict:
    identity = request.identity
    return identity is not None and identity.scheme != ANONYMOUS


def _identity(names: tuple[str | IdentityName, ...]) -> Compiled:
    subjects = frozenset([name for name in names if isinstance(name, str)])
    pairs = frozenset([(name.scheme, name.subject) for name in names if not isinstance(name, str)])

    def holds(request: Request) -> Verdict:
        identity = request.identity
        if identity is None:
            return None
        return identity.subject in subjects or (identity.scheme, identity.subject) in pairs

    return holds


def _consumers(names: frozenset[str], find: FindConsumer | None) -> Compiled:
    def holds(request: Request) -> Verdict:
        if request.identity is None or find is None:
            return None
        consumer = find(request.identity)
        return consumer is not None and consumer.name in names

    return holds


def _claim(rule: ClaimRule) -> Compiled:
    read, test = claim_reader(rule.path), _claim_test(rule)

    def holds(request: Request) -> Verdict:
        identity = request.identity
        if identity is None:
            return None
        value = read(identity.claims)
        return None if value is MISSING else test(value)

    return holds


def _claim_test(rule: ClaimRule) -> Callable[[object], Verdict]:
    if rule.regex is not None:
        pattern = rule.regex
        return lambda value: (pattern.fullmatch(value, "field") is not None) if isinstance(value, str) else None
    if rule.contains is not None:
        member, kind = rule.contains, kind_of(rule.contains)

        def contains(value: object) -> Verdict:
            if not isinstance(value, list | tuple) or any(kind_of(item) != kind for item in value):
                return None
            return member in value

        return contains
    wanted = rule.one_of or (rule.equals,)
    kind = kind_of(wanted[0])
    return lambda value: value in wanted if kind_of(value) == kind else None
