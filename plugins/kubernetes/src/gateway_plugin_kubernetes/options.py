"""What the configuration of the discovery, and the URL of the source, may say."""

from __future__ import annotations

from typing import Annotated, Self

from gateway_plugin_sdk import ConfigModel, Duration
from gateway_plugin_sdk.unstable import OptionalFileName
from pydantic import AfterValidator, Field, model_validator

from gateway_plugin_kubernetes.endpoint_table import Scheme
from gateway_plugin_kubernetes.selector import Selector

Name = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$")]
"""Of an object of Kubernetes (RFC 1123)."""
Namespace = Annotated[str, Field(pattern=r"^([a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?|\*)$")]
PortNumber = Annotated[int, Field(ge=1, le=65535)]
PortName = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$")]
Positive = Annotated[Duration, Field(gt=0)]


def _check_selector(text: str) -> str:
    Selector.parse(text)
    return text


class KubernetesSourceConfig(ConfigModel):
    """Options in the URL of a source ``kubernetes://``."""

    label: Annotated[str, Field(min_length=1), AfterValidator(_check_selector)] = "gateway/config"
    """Label selector of the ConfigMaps that hold documents."""

    kubeconfig: OptionalFileName = ""
    """A kubeconfig; unless given, the pod's own credentials are used, and outside of a cluster those of kubectl."""

    context: str = ""
    """A context of the kubeconfig, instead of its current one."""

    timeout: Positive = 10.0
    """Longest wait for a response of the API server."""

    watch_timeout: Positive = 120.0
    """Shortest time after which a watch is begun anew; the longest is half as much again."""

    resync: Duration = 1800.0
    """Time after which everything is listed anew, in case an event was lost; 0 is never."""


class KubernetesConfig(ConfigModel):
    """``discovery.config`` of the discovery ``kubernetes``."""

    service: Name | None = None
    """The Service whose endpoints are wanted."""

    selector: Annotated[str, Field(min_length=1)] | None = None
    """Instead of ``service``: a label selector, such as ``app=shop,tier!=test``, of all Services that are wanted."""

    namespace: Namespace | None = None
    """Their namespace; ``*`` is all namespaces. That of the pod or of the kubeconfig's context unless given."""

    port: PortNumber | PortName | None = None
    """Name or number of the port: of the Service, or of its endpoints. Unless given, the port named http, web or
    gateway, or the only port if it has no name."""

    scheme: Scheme = "auto"
    """How to speak with endpoints; ``auto`` is https where the port's ``appProtocol`` or name is https, else http."""

    kubeconfig: OptionalFileName = ""
    """A kubeconfig; unless given, the pod's own credentials are used, and outside of a cluster those of kubectl."""

    context: str = ""
    """A context of the kubeconfig, instead of its current one."""

    timeout: Positive = 10.0
    """Longest wait for a response of the API server."""

    watch_timeout: Positive = 120.0
    """Shortest time after which a watch is begun anew; the longest is half as much again."""

    resync: Duration = 1800.0
    """Time after which everything is listed anew, in case an event was lost; 0 is never."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.service is None) == (self.selector is None):
            raise ValueError("needs either service or selector: give one of them")
        if self.selector is not None:
            Selector.parse(self.selector)
        return self
