"""The configuration of one auth binding."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Annotated, TypeAlias

from pydantic import Field, model_validator

from gateway_plugin_auth.config.api_key import ApiKeyProvider
from gateway_plugin_auth.config.basic import BasicProvider
from gateway_plugin_auth.config.introspection import IntrospectionProvider
from gateway_plugin_auth.config.jwt import JwtOptions, JwtProvider, check_key_source
from gateway_plugin_auth.config.requirement import AnyOf, Requirement, lets_strangers_in, names_in
from gateway_plugin_auth.config.resource import ResourceOptions

ProviderConfig: TypeAlias = Annotated[
    JwtProvider | ApiKeyProvider | BasicProvider | IntrospectionProvider, Field(discriminator="scheme")
]
"""A provider of any scheme."""

DEFAULT_PROVIDER = "jwt"
"""The name of the provider whose options stand at the top."""


class AuthConfig(JwtOptions):
    """Who may pass: either one JWT provider, whose options stand at the top, or ``providers`` by name."""

    providers: dict[Annotated[str, Field(min_length=1)], ProviderConfig] = {}
    """Providers by name, each with its ``scheme``: ``jwt``, ``introspection``, ``api-key`` or ``basic``."""

    require: Requirement | None = None
    """Which providers a request must satisfy: a name, ``any``, ``all``, ``optional`` (nothing presented passes) or
    ``attempt`` (everything passes), nested at will. By default any of the providers."""

    realm: str = Field(default="gateway", pattern=r"^[ -~]*$")
    """The realm of the challenge in a 401 (RFC 9110 section 11.5)."""

    anonymous: str | None = Field(default=None, min_length=1)
    """The name of callers that passed without credentials; only if ``require`` lets them."""

    allow_preflight: bool = False
    """Whether CORS preflight requests, which never carry credentials, pass without."""

    resource_metadata: ResourceOptions | None = None
    """Serve the metadata of the API (RFC 9728), and name its URL in challenges."""

    @model_validator(mode="after")
    def _is_consistent(self) -> AuthConfig:
        if not self.providers:
            check_key_source(self)
        else:
            fields = JwtOptions.model_fields
            misplaced = [name for name in fields if getattr(self, name) != fields[name].default]
            if misplaced:
                raise ValueError(f"{', '.join(misplaced)} beside providers: move it into the provider that it is for")
        known = self.provider_configs()
        for name in names_in(self.requirement()):
            if name not in known:
                near = difflib.get_close_matches(name, known, 1)
                hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known)}"
                raise ValueError(f"require names {name!r}, which is no provider: {hint}")
        if self.anonymous is not None and not lets_strangers_in(self.requirement()):
            raise ValueError(f"nobody is {self.anonymous!r}: set require to optional or attempt")
        return self

    def provider_configs(self) -> Mapping[str, JwtOptions | ApiKeyProvider | BasicProvider | IntrospectionProvider]:
        """Return the providers by name."""
        return self.providers or {DEFAULT_PROVIDER: self}

    def requirement(self) -> Requirement:
        """Return the tree that a request must satisfy."""
        if self.require is not None:
            return self.require
        names = tuple(self.provider_configs())
        return names[0] if len(names) == 1 else AnyOf(any=names)
