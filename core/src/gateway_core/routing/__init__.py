"""Which route takes a request, and what it makes of the request's path. Pure: no I/O, no clock, no configuration.

A route's conditions come in as :class:`RouteRule`, a :class:`Router` answers with a :class:`Match`,
:class:`NotFound` or :class:`MethodNotAllowed`. Everything else that others need is re-exported here.
"""

from gateway_core.routing.conditions import HeaderLookup
from gateway_core.routing.entries import NO_PARAMS, Match
from gateway_core.routing.hosts import normalize_host, parse_host
from gateway_core.routing.paths import check_path, encode_path
from gateway_core.routing.patterns import Pattern, parse_pattern, parse_prefix, parse_regex, rule_pattern
from gateway_core.routing.problems import ConditionError, HostError, PatternError, RewriteError, RuleError
from gateway_core.routing.router import NOT_FOUND, MethodNotAllowed, NotFound, Router, RouterBuilder, build_steps
from gateway_core.routing.rules import RouteRule, ValueCondition

__all__ = [
    "NOT_FOUND",
    "NO_PARAMS",
    "ConditionError",
    "HeaderLookup",
    "HostError",
    "Match",
    "MethodNotAllowed",
    "NotFound",
    "Pattern",
    "PatternError",
    "RewriteError",
    "RouteRule",
    "Router",
    "RouterBuilder",
    "RuleError",
    "ValueCondition",
    "build_steps",
    "check_path",
    "encode_path",
    "normalize_host",
    "parse_host",
    "parse_pattern",
    "parse_prefix",
    "parse_regex",
    "rule_pattern",
]
