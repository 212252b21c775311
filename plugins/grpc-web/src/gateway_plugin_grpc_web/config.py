"""What can be configured."""

from __future__ import annotations

from typing import Annotated

from gateway_plugin_sdk import ConfigModel, Size
from pydantic import Field


class GrpcWebConfig(ConfigModel):
    """How calls of gRPC-Web are translated."""

    max_text_bytes: Annotated[Size, Field(ge=1)] = 4 << 20
    """Longest request of ``application/grpc-web-text``, in base64: it is read whole before it is sent on."""
