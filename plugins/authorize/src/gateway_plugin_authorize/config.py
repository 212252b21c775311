"""The options of the plugin."""

from __future__ import annotations

from typing import Annotated, Final, Literal, Self

from gateway_plugin_sdk import ConfigFile, ConfigModel, Duration, HeaderName, Method, Pattern, UpstreamName
from pydantic import Field, model_validator

Name = Annotated[str, Field(min_length=1)]
Names = Annotated[tuple[Name, ...], Field(min_length=1)]
Path = Annotated[str, Field(pattern=r"^/")]
Paths = Annotated[tuple[Path, ...], Field(min_length=1)]
Scalar = bool | int | float | str

_TESTS: Final = ("equals", "one_of", "contains", "regex")


class ClaimRule(ConfigModel):
    """A condition on one claim: ``path`` and one test. A claim that is missing or of another type is no ``false``."""

    path: Name
    """Dotted path of the claim, such as ``realm_access.tenant``; a name that has dots itself is found, too."""

    equals: Scalar | None = None
    """The claim is this text, number or boolean."""

    one_of: tuple[Scalar, ...] = ()
    """The claim is one of these, which are of one type."""

    contains: Scalar | None = None
    """The claim is a list that has this member."""

    regex: Pattern | None = None
    """The claim is a text that this expression matches from end to end."""

    @model_validator(mode="after")
    def _has_one_test(self) -> Self:
        given = [name for name in _TESTS if getattr(self, name) not in (None, ())]
        if len(given) != 1:
            raise ValueError(f"has {' and '.join(given) or 'no test'}: write one of {', '.join(_TESTS)}")
        if len({kind_of(value) for value in self.one_of}) > 1:
            raise ValueError("one_of has values of several types: write a rule for each, under any")
        return self


class IdentityName(ConfigModel):
    """A caller of one scheme."""

    scheme: Name
    """How the caller was found out: ``jwt``, ``api-key``, ``basic`` or a plugin's own word."""

    subject: Name
    """The caller's name there."""


class Rule(ConfigModel):
    """A condition. Of several keys, all must hold; of several values of one key, one of them."""

    any: Annotated[tuple[Rule, ...], Field(min_length=1)] | None = None
    """Rules of which one must hold."""

    all: Annotated[tuple[Rule, ...], Field(min_length=1)] | None = None
    """Rules that must all hold."""

    not_: Rule | None = Field(default=None, alias="not")
    """A rule that must not hold. What is not known stays so."""

    authenticated: Literal[True] | None = None
    """An earlier plugin knows the caller, who is not anonymous."""

    identity: Annotated[tuple[Name | IdentityName, ...], Field(min_length=1)] | None = None
    """The caller has one of these names, whatever its scheme, or with ``{scheme, subject}`` in that one only."""

    consumers: Names | None = None
    """The caller is one of these consumers of ``consumers``."""

    groups: Names | None = None
    """The caller is in one of these groups, by its claims or its consumer."""

    roles: Names | None = None
    """The caller has one of these roles."""

    scopes: Names | None = None
    """The caller's token allows one of these scopes."""

    claim: ClaimRule | None = None
    """A condition on a claim."""

    methods: Annotated[tuple[Method, ...], Field(min_length=1)] | None = None
    """The method is one of these. GET does not include HEAD."""

    paths: Paths | None = None
    """The path is one of these."""

    path_prefixes: Paths | None = None
    """The path is one of these or below it, by whole segments."""

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if all(getattr(self, name) is None for name in type(self).model_fields):
            raise ValueError("is empty: write a condition, such as groups: [admins]")
        return self


class OpaConfig(ConfigModel):
    """A policy of Open Policy Agent, asked over HTTP for each request that the rule allows."""

    target: UpstreamName
    """The upstream, or the URL of scheme, host and port, where it is."""

    path: Annotated[str, Field(pattern=r"^/[!-~]*$")] = "/v1/data/gateway/allow"
    """Path of the decision: ``true``, or an object with ``allow``."""

    headers: tuple[HeaderName, ...] = ()
    """Fields of the request that the policy sees."""

    timeout: Annotated[Duration, Field(gt=0)] = 1.0
    """How long it may take; then the response is 503."""


class AuthorizeConfig(ConfigModel):
    """Who may do what. A request passes if ``rule`` holds and, where ``opa`` is given, its policy allows it."""

    rule: Rule | None = None
    """What must hold."""

    shadow_rule: Rule | None = None
    """A rule that is only tried: what it would refuse is counted and logged."""

    opa: OpaConfig | None = None
    """A policy of Open Policy Agent."""

    consumers: ConfigFile | None = None
    """A file of consumers with their groups and credentials. It is watched."""

    groups_claim: Names = ("groups",)
    """Paths of the claim with the caller's groups; the first that is there counts."""

    roles_claim: Names = ("roles", "realm_access.roles")
    """Paths of the claim with the caller's roles; the first that is there counts."""

    scopes_claim: Names = ("scope", "scp")
    """Paths of the claim with the token's scopes; the first that is there counts."""

    ignore_case: bool = False
    """Whether paths are compared without case, for routes with ``path_policy.case: insensitive``."""

    consumer_header: HeaderName | None = None
    """The request field that has the consumer's name for the upstream; it is removed from what clients send."""

    status: Annotated[int, Field(ge=400, le=499)] = 403
    """The status of a refusal; 404 hides that there is something."""

    message: str = "this request is not allowed"
    """The detail of the problem that the client gets."""

    @model_validator(mode="after")
    def _decides(self) -> Self:
        if self.rule is None and self.opa is None and self.shadow_rule is None:
            raise ValueError("decides nothing: write rule, opa or shadow_rule")
        if self.consumer_header is not None and self.consumers is None:
            raise ValueError("consumer_header needs consumers: name the file")
        return self


def kind_of(value: object) -> str:
    """Return the type of a JSON value, as far as rules distinguish types: ``true`` is no number."""
    return _KINDS.get(type(value)) or _kind_of_other(value)


_KINDS: Final = {bool: "boolean", int: "number", float: "number", str: "text"}


def _kind_of_other(value: object) -> str:
    # Plugins may give claims whose types derive from those of JSON, such as a text of an Enum.
    if isinstance(value, int | float):
        return "number"
    return "text" if isinstance(value, str) else type(value).__name__
