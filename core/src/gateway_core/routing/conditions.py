"""Conditions on a request beside its path, compiled once and evaluated only for routes that have them.

Those on headers and query parameters come first; those on cookies, path parameters, the client's address and the scheme
are `Test` objects. What such a test reads is not kept between routes: a table with none of them makes no
`RequestValues` at all, and one with some has few.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Protocol
from urllib.parse import unquote_plus

from gateway_core.errors import TextSource, TextTooLongError
from gateway_core.messages.path import decode_match_text
from gateway_core.regex import Pattern as TextPattern
from gateway_core.regex import PatternSyntaxError, SlowPatternError, compile_pattern
from gateway_core.routing.hosts import captured_label, host_captures
from gateway_core.routing.patterns import Pattern, captures_of
from gateway_core.routing.problems import ConditionError
from gateway_core.routing.rules import AddressCondition, P, RouteRule, ValueCondition

HeaderLookup = Callable[[str], Sequence[str]]
"""Takes a header's name in lower case, returns the values of all its fields."""


class ClientFacts(Protocol):
    """What conditions need to know of the client."""

    @property
    def client_ip(self) -> str:
        """The client's address; empty on a unix socket."""

    @property
    def scheme(self) -> str:
        """The scheme as the client sees it."""


class RequestValues:
    """What conditions read of one request beside its headers; the query is parsed when the first of them needs it."""

    __slots__ = ("_parsed", "_raw", "client", "host", "is_preflight", "path")

    def __init__(
        self,
        query: str,
        path: str = "",
        host: str = "",
        client: ClientFacts | None = None,
        *,
        is_preflight: bool = False,
    ) -> None:
        """Take the raw query, the match path and the Host value as received."""
        self._raw = query
        self._parsed: dict[str, list[str]] | None = None
        self.path = path
        self.host = host
        self.client = client
        """None if nothing is known of it: then no condition on it holds."""
        self.is_preflight = is_preflight
        """Whether only a preflight is known of the request: conditions on fields, cookies and query are left out."""

    def all(self, name: str) -> Sequence[str]:
        """Return the values of the parameter ``name``, in order."""
        if self._parsed is None:
            self._parsed = parse_query(self._raw)
        return self._parsed.get(name, ())


def parse_query(raw: str) -> dict[str, list[str]]:
    """Return the values of each parameter, decoded as a form (``+`` is a space, undecodable bytes are U+FFFD)."""
    values: dict[str, list[str]] = {}
    for pair in raw.split("&"):
        if pair:
            name, _, value = pair.partition("=")
            values.setdefault(unquote_plus(name), []).append(unquote_plus(value))
    return values


@dataclass(frozen=True, slots=True)
class ValueTest:
    """One compiled condition.

    Of several values one is enough: which one an upstream takes is not known, and what a route is for must not be had
    from a less specific one by sending another value first.
    """

    name: str
    value: str | None
    regex: TextPattern | None
    present: bool
    source: TextSource
    one_of: frozenset[str] | None = None
    none_of: frozenset[str] | None = None

    def passes(self, found: Sequence[str]) -> bool:
        """Say whether one of the values, or the absence of any, satisfies the condition.

        :raises TextTooLongError: a value is too long for the regular expression.
        """
        if self.none_of is not None:
            return self.none_of.isdisjoint(found)
        if not found:
            return not self.present
        if self.value is not None:
            return self.value in found
        regex = self.regex
        if regex is not None:
            return any(regex.fullmatch(each, self.source) is not None for each in found)
        if self.one_of is not None:
            return not self.one_of.isdisjoint(found)
        return self.present

    def failure(self, what: str, found: Sequence[str]) -> str:
        """Return why it does not pass; empty if it does. For people.

        :param what: the key of the condition, such as ``headers``.
        """
        try:
            if self.passes(found):
                return ""
        except TextTooLongError:
            return f"{what}: {self.name} is too long for its regular expression"
        if not found:
            return f"{what}: {self.name} is absent"
        shown = f"{what}: {self.name} is {', '.join(found)!r}"
        if self.none_of is not None:
            return f"{shown}, which is one of {', '.join(map(repr, sorted(self.none_of)))}"
        if self.one_of is not None:
            return f"{shown}, not one of {', '.join(map(repr, sorted(self.one_of)))}"
        if self.value is not None:
            return f"{shown}, not {self.value!r}"
        if self.regex is not None:
            return f"{shown}, which {self.regex.text!r} does not match"
        return f"{what}: {self.name} is present, it must be absent"


class Test(Protocol):
    """A condition on something else than a header or a query parameter."""

    def passes(self, header: HeaderLookup, values: RequestValues, /) -> bool:
        """Say whether it holds.

        :raises TextTooLongError: a value is too long for a regular expression.
        """

    def failure(self, header: HeaderLookup, values: RequestValues, /) -> str:
        """Return why it does not hold; empty if it does. For people."""


@dataclass(frozen=True, slots=True)
class Conditions:
    """All conditions of one route beside its methods."""

    headers: tuple[ValueTest, ...]
    query: tuple[ValueTest, ...]
    further: tuple[Test, ...] = ()

    def hold(self, header: HeaderLookup, values: RequestValues) -> bool:
        """Say whether all are satisfied. ``header`` is called only for names that have a condition."""
        if values.is_preflight:
            return all(test.passes(header, values) for test in self.further)
        for test in self.headers:
            if not test.passes(header(test.name)):
                return False
        for further in self.further:
            if not further.passes(header, values):
                return False
        return all(test.passes(values.all(test.name)) for test in self.query)

    def failures(self, header: HeaderLookup, values: RequestValues) -> list[str]:
        """Return why those do not hold that do not. For people."""
        found = [test.failure("headers", header(test.name)) for test in self.headers]
        found += [test.failure(header, values) for test in self.further]
        found += [test.failure("query", values.all(test.name)) for test in self.query]
        return [failure for failure in found if failure]


def compile_conditions(
    headers: tuple[ValueCondition, ...], query: tuple[ValueCondition, ...], further: tuple[Test, ...] = ()
) -> Conditions | None:
    """Compile a route's conditions; ``None`` if it has none.

    :raises ConditionError: a condition has no test or several, or its regex does not compile.
    """
    if not (headers or query or further):
        return None
    return Conditions(
        tuple([compile_test("header", condition, condition.name.lower(), "field") for condition in headers]),
        tuple([compile_test("query parameter", condition, condition.name, "query") for condition in query]),
        further,
    )


def compile_test(what: str, condition: ValueCondition, name: str, source: TextSource) -> ValueTest:
    """Compile one condition on the header or parameter ``name``; ``what`` names its kind in an error."""
    tests = (condition.value, condition.regex, condition.present, condition.one_of, condition.none_of)
    asked = [asked for asked in tests if asked is not None]
    if len(asked) != 1:
        raise ConditionError(
            f"{what} {condition.name!r} needs exactly one of value, regex, present, one_of and none_of, it has "
            f"{len(asked)}"
        )
    try:
        regex = None if condition.regex is None else compile_pattern(condition.regex, TextPattern)
    except (PatternSyntaxError, SlowPatternError) as error:
        raise ConditionError(f"{what} {condition.name!r}: regex {error}") from None
    one_of, none_of = condition.one_of, condition.none_of
    return ValueTest(
        name,
        condition.value,
        regex,
        condition.present is not False,
        source,
        None if one_of is None else frozenset(one_of),
        None if none_of is None else frozenset(none_of),
    )


ParamReader = Callable[[RequestValues], "str | None"]
"""Returns the text of one parameter; None if the path has none."""


def cookie_values(header: HeaderLookup, name: str) -> list[str]:
    """Return the values of all cookies of a name (RFC 6265 section 4.2), read as `Request.cookie` does."""
    found = []
    for line in header("cookie"):
        for pair in line.split(";"):
            key, equals, value = pair.partition("=")
            if equals and key.strip() == name:
                found.append(value.strip().strip('"'))
    return found


@dataclass(frozen=True, slots=True)
class CookieTest:
    """A condition on a cookie."""

    test: ValueTest

    def passes(self, header: HeaderLookup, values: RequestValues, /) -> bool:
        """See :class:`Test`."""
        return values.is_preflight or self.test.passes(cookie_values(header, self.test.name))

    def failure(self, header: HeaderLookup, _values: RequestValues, /) -> str:
        """See :class:`Test`."""
        return self.test.failure("cookies", cookie_values(header, self.test.name))


@dataclass(frozen=True, slots=True)
class ParamTest:
    """A condition on a parameter of the path or of the host."""

    test: ValueTest
    read: ParamReader

    def passes(self, _header: HeaderLookup, values: RequestValues, /) -> bool:
        """See :class:`Test`."""
        return self.test.passes(self._found(values))

    def failure(self, _header: HeaderLookup, values: RequestValues, /) -> str:
        """See :class:`Test`."""
        return self.test.failure("params", self._found(values))

    def _found(self, values: RequestValues) -> Sequence[str]:
        text = self.read(values)
        return () if text is None else (text,)


@dataclass(frozen=True, slots=True)
class AddressTest:
    """A condition on the client's address."""

    condition: AddressCondition

    def passes(self, _header: HeaderLookup, values: RequestValues, /) -> bool:
        """See :class:`Test`."""
        client, condition = values.client, self.condition
        if client is None:
            return False
        if not client.client_ip:
            return not condition.one_of
        address = _address(client.client_ip)
        if address is None:
            return False  # An address that is not known satisfies neither form.
        if condition.one_of:
            return any(address in network for network in condition.one_of)
        return not any(address in network for network in condition.none_of)

    def failure(self, header: HeaderLookup, values: RequestValues, /) -> str:
        """See :class:`Test`."""
        if self.passes(header, values):
            return ""
        what = "is unknown" if values.client is None else f"is {values.client.client_ip or 'none'}"
        condition = self.condition
        allowed, networks = ("not in", condition.one_of) if condition.one_of else ("in", condition.none_of)
        return f"client_ip: it {what}, {allowed} {', '.join(map(str, networks))}"


def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(text)
    except ValueError:
        return None


@dataclass(frozen=True, slots=True)
class SchemeTest:
    """A condition on the scheme as the client sees it."""

    scheme: str

    def passes(self, _header: HeaderLookup, values: RequestValues, /) -> bool:
        """See :class:`Test`."""
        return values.client is not None and values.client.scheme == self.scheme

    def failure(self, header: HeaderLookup, values: RequestValues, /) -> str:
        """See :class:`Test`."""
        if self.passes(header, values):
            return ""
        return f"scheme: it is {'unknown' if values.client is None else values.client.scheme}, not {self.scheme}"


def compile_tests(rule: RouteRule[P], pattern: Pattern) -> tuple[Test, ...]:
    """Compile the conditions of a rule that are not on headers and query parameters.

    :param pattern: of the rule's path.
    :raises ConditionError: one cannot be evaluated.
    """
    if not rule.has_further_conditions:
        return ()
    tests: list[Test] = []
    if rule.scheme is not None:
        tests.append(SchemeTest(rule.scheme))
    if rule.client_ip is not None:
        if bool(rule.client_ip.one_of) is bool(rule.client_ip.none_of):
            raise ConditionError("client_ip needs exactly one of one_of and none_of, with networks")
        tests.append(AddressTest(rule.client_ip))
    tests += [CookieTest(compile_test("cookie", each, each.name, "field")) for each in rule.cookies]
    for each in rule.params:
        test = compile_test("path parameter", each, each.name, "path")
        tests.append(ParamTest(test, param_reader(each.name, pattern, rule.hosts)))
    return tuple(tests)


def param_reader(name: str, pattern: Pattern, hosts: tuple[str, ...]) -> ParamReader:
    """Return what reads a parameter of a path that the pattern matches.

    :raises ConditionError: neither the pattern nor every host has it.
    """
    for captured, index, cut in captures_of(pattern) or ():
        if captured == name:
            return partial(_of_segment, index, cut)
    if pattern.regex is not None and name in pattern.params:
        return partial(_of_group, pattern.regex, name)
    in_hosts = host_captures(hosts)
    if name in in_hosts:
        return _of_host
    known = ", ".join(map(repr, [*pattern.params, *in_hosts])) or "none"
    raise ConditionError(f"there is no parameter {name!r} in {pattern.text!r} and in every host: there is {known}")


def _of_segment(index: int, cut: int, values: RequestValues) -> str | None:
    segments = values.path.split("/")
    if index >= len(segments):
        return None
    text = "/".join(segments[index:]) if cut < 0 else segments[index][cut:]
    return decode_match_text(text) if "%" in text else text


def _of_group(regex: TextPattern, name: str, values: RequestValues) -> str | None:
    found = regex.fullmatch(values.path, "path")
    text: str | None = None if found is None else found.groupdict()[name]
    return None if text is None else decode_match_text(text)


def _of_host(values: RequestValues) -> str | None:
    return captured_label(values.host)
