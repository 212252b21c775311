"""Configuration of tokens of AWS's Application Load Balancers."""

from __future__ import annotations

import re
from typing import Annotated, Final

from gateway_plugin_sdk import ConfigModel, SecretUrl
from pydantic import Field, model_validator

_SIGNER: Final = (
    r"^arn:aws(-[a-z]+)*:elasticloadbalancing:[a-z]{2}(-[a-z]+)+-[0-9]{1,2}:[0-9]{12}:loadbalancer/app/"
    r"[A-Za-z0-9-]{1,32}/[0-9a-f]{1,32}$"
)

Signer = Annotated[str, Field(pattern=_SIGNER, json_schema_extra={"x-from-trusted-peer": True})]
"""The ARN of an Application Load Balancer."""

_GOVERNMENT: Final = re.compile(r"us-gov-[a-z]+-[0-9]+")


class AlbOptions(ConfigModel):
    """Tokens that AWS's Application Load Balancers put into ``x-amzn-oidc-data``.

    They are base64url with padding, signed with ES256, and each key is at a URL of its own. All load balancers of a
    region sign with the same keys, those of other customers too: only ``signer`` says that a token is of yours.
    """

    signer: Signer | Annotated[tuple[Signer, ...], Field(min_length=1)]
    """The ARN of the load balancer, or several of one region; tokens of any other are refused."""

    keys_url: SecretUrl | None = None
    """Where the keys are, if not where AWS has those of the region: ``/`` and a key's ``kid`` follow."""

    @model_validator(mode="after")
    def _is_of_one_region(self) -> AlbOptions:
        regions = sorted({_region(signer) for signer in self.signers()})
        if len(regions) > 1:
            raise ValueError(f"signers of {' and '.join(regions)}, whose keys differ: make a provider for each")
        return self

    def signers(self) -> tuple[str, ...]:
        """Return the ARNs."""
        return (self.signer,) if isinstance(self.signer, str) else self.signer

    def url_of_keys(self) -> str:
        """Return the URL below which each key is under its ``kid``."""
        if self.keys_url is not None:
            return self.keys_url.reveal().rstrip("/")
        region = _region(self.signers()[0])
        if _GOVERNMENT.fullmatch(region):
            return f"https://s3-{region}.amazonaws.com/aws-elb-public-keys-prod-{region}"
        suffix = ".cn" if region.startswith("cn-") else ""
        return f"https://public-keys.auth.elb.{region}.amazonaws.com{suffix}"


def _region(signer: str) -> str:
    return signer.split(":")[3]
