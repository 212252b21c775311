"""Conditions on cookies, path parameters, the client's address and the scheme.

What such a test reads is not kept between routes: a table with none of them makes no `RequestValues` at all, and one
with some has few.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from ipaddress import IPv4Address, IPv6Address, ip_address

from gateway_core.messages.path import decode_match_text
from gateway_core.regex import Pattern as TextPattern
from gateway_core.routing.conditions import HeaderLookup, RequestValues, Test, ValueTest, compile_test
from gateway_core.routing.hosts import captured_label, host_captures
from gateway_core.routing.patterns import Pattern, captures_of
from gateway_core.routing.problems import ConditionError
from gateway_core.routing.rules import AddressCondition, P, RouteRule

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
