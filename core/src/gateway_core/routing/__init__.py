"""Which route takes a request, and what it makes of the request's path. Pure: no I/O, no clock, no configuration.

A route's conditions come in as :class:`RouteRule`; a :class:`Router` returns a :class:`Match`, :class:`NotFound` or
:class:`MethodNotAllowed`. The public names of the package are re-exported here.
"""

from gateway_core.messages.path import DEFAULT_POLICY, PathPolicy, arrival_policy
from gateway_core.routing.conditions import ClientFacts, HeaderLookup
from gateway_core.routing.conflicts import Conflict, find_conflicts
from gateway_core.routing.explain import Explanation, Loser, explain
from gateway_core.routing.hosts import ListenerRule, ListenerTable, Refusal, host_captures, normalize_host, parse_host
from gateway_core.routing.patterns import Pattern, parse_pattern, parse_prefix, parse_regex, rule_pattern
from gateway_core.routing.problems import ConditionError, HostError, PatternError, RewriteError, RuleError
from gateway_core.routing.query_rewrite import QueryRewrite, compile_query_rewrite
from gateway_core.routing.readings import path_problem
from gateway_core.routing.redirect import Redirect, RedirectOptions, compile_redirect
from gateway_core.routing.response_rewrite import PrefixChange, ResponseFacts, ResponseRewrite, prefix_change
from gateway_core.routing.rewrite import (
    PathRewrite,
    RewriteOptions,
    UnsafePathError,
    compile_rewrite,
    upstream_path,
)
from gateway_core.routing.router import (
    NOT_FOUND,
    HttpsRedirect,
    MethodNotAllowed,
    NotFound,
    RedirectingRouter,
    Router,
    RouterBuilder,
    build_steps,
    params_of,
)
from gateway_core.routing.rules import AddressCondition, RouteRule, ValueCondition
from gateway_core.routing.split import WeightedTargets, rendezvous, samples
from gateway_core.routing.tree import NO_PARAMS, Match

__all__ = [
    "DEFAULT_POLICY",
    "NOT_FOUND",
    "NO_PARAMS",
    "AddressCondition",
    "ClientFacts",
    "ConditionError",
    "Conflict",
    "Explanation",
    "HeaderLookup",
    "HostError",
    "HttpsRedirect",
    "ListenerRule",
    "ListenerTable",
    "Loser",
    "Match",
    "MethodNotAllowed",
    "NotFound",
    "PathPolicy",
    "PathRewrite",
    "Pattern",
    "PatternError",
    "PrefixChange",
    "QueryRewrite",
    "Redirect",
    "RedirectOptions",
    "RedirectingRouter",
    "Refusal",
    "ResponseFacts",
    "ResponseRewrite",
    "RewriteError",
    "RewriteOptions",
    "RouteRule",
    "Router",
    "RouterBuilder",
    "RuleError",
    "UnsafePathError",
    "ValueCondition",
    "WeightedTargets",
    "arrival_policy",
    "build_steps",
    "compile_query_rewrite",
    "compile_redirect",
    "compile_rewrite",
    "explain",
    "find_conflicts",
    "host_captures",
    "normalize_host",
    "params_of",
    "parse_host",
    "parse_pattern",
    "parse_prefix",
    "parse_regex",
    "path_problem",
    "prefix_change",
    "rendezvous",
    "rule_pattern",
    "samples",
    "upstream_path",
]
