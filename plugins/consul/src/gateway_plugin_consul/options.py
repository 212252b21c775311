"""What the configuration of the discovery may say."""

from __future__ import annotations

from typing import Annotated, Literal

from gateway_plugin_sdk import ConfigModel, Duration, Secret
from gateway_plugin_sdk.unstable import ENVIRONMENT_KEY, OptionalFileName
from pydantic import Field

from gateway_plugin_consul.access import DEFAULT_ADDRESS

Text = Annotated[str, Field(min_length=1)]
Positive = Annotated[Duration, Field(gt=0)]
Consistency = Literal["default", "stale", "consistent"]


class TlsConfig(ConfigModel):
    """TLS with agents whose address is https."""

    verify: bool = True
    """Whether the agent's certificate is checked."""

    ca: OptionalFileName = ""
    """File with the authorities that agents' certificates come from; those of the system unless given."""

    cert: OptionalFileName = ""
    """File with our own certificate."""

    key: OptionalFileName = ""
    """File with its key."""

    server_name: str = ""
    """The name in the agents' certificates, such as ``server.dc1.consul``, if it is not that of the address."""


class ConsulSourceConfig(ConfigModel):
    """Options in the URL of a source ``consul://``."""

    token: Secret = Secret("")
    """ACL token, as the URL's password; unless given, that of CONSUL_HTTP_TOKEN or CONSUL_HTTP_TOKEN_FILE."""

    token_file: OptionalFileName = ""
    """File with the ACL token, read for each query."""

    dc: str = ""
    """Datacenter to ask about; the agent's own unless given."""

    ns: str = ""
    """Namespace (Consul Enterprise)."""

    partition: str = ""
    """Admin partition (Consul Enterprise)."""

    wait: Annotated[Duration, Field(gt=0, le=600)] = 60.0
    """How long the agent may hold a query back until something changes, 10m at most."""

    timeout: Positive = 10.0
    """Longest wait for a response beyond that."""

    tls: bool = False
    """Whether connections are encrypted."""

    ca: OptionalFileName = ""
    """File of the authorities to trust; the system's unless given."""

    cert: OptionalFileName = ""
    """File of the client certificate."""

    key: OptionalFileName = ""
    """File of the client certificate's key."""

    verify: bool = True
    """Whether the agent's certificate is checked."""

    server_name: str = ""
    """The name in the agents' certificates, if it is not that of the address."""


class ConsulConfig(ConfigModel):
    """``discovery.config`` of the discovery ``consul``."""

    service: Text
    """The service whose instances are wanted."""

    tags: tuple[Text, ...] = ()
    """Tags that an instance must have, all of them."""

    filter: str = ""
    """Filter expression of Consul, such as ``Service.Meta.version == 2``."""

    include_warning: bool = False
    """Whether instances get requests of which a check warns, with the weight that the service has for them."""

    scheme: Literal["http", "https"] = "http"
    """How to speak with instances."""

    address: Text | Annotated[tuple[Text, ...], Field(min_length=1)] = DEFAULT_ADDRESS
    """The agent, or a list of agents that are asked in turn when one does not respond."""

    token: Secret | None = Field(None, json_schema_extra={ENVIRONMENT_KEY: True})
    """ACL token; unless given, that of CONSUL_HTTP_TOKEN or of the file that CONSUL_HTTP_TOKEN_FILE names. None is sent
    if it is empty, as it is in documents of a source without the right to the environment that give none."""

    token_file: OptionalFileName = ""
    """File with the ACL token, read for each query."""

    datacenter: str = ""
    """Datacenter to ask about; the agent's own unless given."""

    namespace: str = ""
    """Namespace (Consul Enterprise)."""

    partition: str = ""
    """Admin partition (Consul Enterprise)."""

    consistency: Consistency = "default"
    """``stale`` lets any server respond, ``consistent`` makes the leader ask the others first."""

    wait: Annotated[Duration, Field(gt=0, le=600)] = 60.0
    """How long the agent may hold a query back until something changes, 10m at most."""

    timeout: Positive = 10.0
    """Longest wait for a response beyond that."""

    tls: TlsConfig = TlsConfig()
    """TLS with agents whose address is https."""

    @property
    def addresses(self) -> tuple[str, ...]:
        """The agents."""
        return (self.address,) if isinstance(self.address, str) else self.address
