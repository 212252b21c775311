"""Judge a request by a tree of requirements."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

from gateway_plugin_sdk import Request

from gateway_plugin_auth.config.requirement import AllOf, AnyOf, AttemptOf, OptionalOf, Requirement
from gateway_plugin_auth.outcomes import Needs, Provider, Verified
from gateway_plugin_auth.refusals import NO_CREDENTIALS, Refusal

Judgement: TypeAlias = tuple[Verified, ...] | Refusal | Needs
"""The callers of a request that may pass (none, if it may pass as a stranger), or why there is no such thing."""

Judge: TypeAlias = Callable[[Request], Judgement]


def compile_requirement(requirement: Requirement, providers: Mapping[str, Provider]) -> Judge:
    """Return a function that judges requests; it never waits and never raises for what a request has in it."""
    match requirement:
        case AnyOf():
            return _any([compile_requirement(part, providers) for part in requirement.any])
        case AllOf():
            return _all([compile_requirement(part, providers) for part in requirement.all])
        case OptionalOf():
            return _optional(compile_requirement(requirement.optional, providers))
        case AttemptOf():
            return _attempt(compile_requirement(requirement.attempt, providers))
        case _:
            return _one(providers[requirement])


def _one(provider: Provider) -> Judge:
    check = provider.check

    def judge(request: Request) -> Judgement:
        outcome = check(request)
        return (outcome,) if type(outcome) is Verified else outcome  # type: ignore[return-value]

    return judge


def _any(judges: list[Judge]) -> Judge:
    def judge(request: Request) -> Judgement:
        refusal, needs = NO_CREDENTIALS, None
        stranger: Judgement | None = None
        for one in judges:
            judgement = one(request)
            if isinstance(judgement, tuple):
                if judgement:
                    return judgement
                stranger = judgement
            elif isinstance(judgement, Needs):
                needs = needs or judgement
            elif judgement.weight >= refusal.weight:
                refusal = judgement
        if needs is not None:
            return needs
        # Passing as a stranger is for those who present nothing: wrong credentials do not become none.
        return stranger if stranger is not None and refusal.error is None else refusal

    return judge


def _all(judges: list[Judge]) -> Judge:
    def judge(request: Request) -> Judgement:
        callers: tuple[Verified, ...] = ()
        needs = None
        for one in judges:
            judgement = one(request)
            if isinstance(judgement, tuple):
                callers += judgement
            elif isinstance(judgement, Needs):
                needs = needs or judgement
            else:
                return judgement
        return needs if needs is not None else callers

    return judge


def _optional(judge_inner: Judge) -> Judge:
    def judge(request: Request) -> Judgement:
        judgement = judge_inner(request)
        return () if isinstance(judgement, Refusal) and judgement.error is None else judgement

    return judge


def _attempt(judge_inner: Judge) -> Judge:
    def judge(request: Request) -> Judgement:
        judgement = judge_inner(request)
        return () if isinstance(judgement, Refusal) else judgement

    return judge
