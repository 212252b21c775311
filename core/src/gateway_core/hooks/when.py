"""From the ``when`` of a binding to what decides over a request."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from gateway_core.config import ConditionConfig, WhenConfig
from gateway_core.errors import TextSource
from gateway_core.messages import Request
from gateway_core.routing import AddressCondition, ValueCondition
from gateway_core.routing.conditions import (
    AddressTest,
    Conditions,
    CookieTest,
    RequestValues,
    SchemeTest,
    Test,
    ValueTest,
    compile_test,
)


def compile_when(config: WhenConfig | None) -> Callable[[Request], bool] | None:
    """Return what says whether a binding runs for a request; None if it runs for each.

    :raises ConditionError: a condition cannot be evaluated.
    """
    if config is None:
        return None
    further: list[Test] = []
    if config.scheme is not None:
        further.append(SchemeTest(config.scheme))
    if config.client_ip is not None:
        networks = config.client_ip
        further.append(AddressTest(AddressCondition(networks.one_of or (), networks.none_of or ())))
    further += [CookieTest(test) for test in _tests("cookie", config.cookies)]
    conditions = Conditions(
        tuple([compile_test("header", each, each.name.lower(), "field") for each in ValueCondition.of(config.headers)]),
        tuple(_tests("query parameter", config.query)),
        tuple(further),
    )
    methods, params = frozenset(config.methods), _tests("path parameter", config.params)

    def runs(request: Request) -> bool:
        if methods and request.method not in methods:
            return False
        given = request.path_params
        if not all(test.passes((given[test.name],) if test.name in given else ()) for test in params):
            return False
        values = RequestValues(request.query_string, request.path, request.host, request)
        return conditions.hold(request.header_values, values)

    return runs


def _tests(what: str, configured: Mapping[str, ConditionConfig]) -> list[ValueTest]:
    source: TextSource = "query" if what == "query parameter" else "field"
    return [compile_test(what, each, each.name, source) for each in ValueCondition.of(configured)]
