"""Options of the places that lines go to."""

from __future__ import annotations

import re
from importlib.util import find_spec
from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

from gateway_plugin_sdk import (
    ConfigFile,
    ConfigModel,
    Duration,
    HeaderName,
    OutputFile,
    SecretHeaderValue,
    SecretUrl,
    Size,
)
from pydantic import AfterValidator, Field, field_validator, model_validator

from gateway_plugin_logger.config.names import Template

_HTTP_URL: Final = r"^https?://[^/?#\s]+(/[^\s]*)?$"
_HTTP_URL_REMEDY: Final = "write for example https://logs.example.com/in"


def _check_url(url: str) -> None:
    if not re.match(_HTTP_URL, url) or not _has_port(url):
        raise ValueError(f"the value is not a URL: {_HTTP_URL_REMEDY}")


def _has_port(url: str) -> bool:
    """Return whether the port of a URL, if there is one, is a number up to 65535."""
    try:
        _ = urlsplit(url).port
    except ValueError:
        return False
    return True


HttpUrl = Annotated[
    SecretUrl,
    AfterValidator(SecretUrl.checked(_check_url)),
    Field(json_schema_extra={"pattern": _HTTP_URL, "x-expected": "a URL", "x-remedy": _HTTP_URL_REMEDY}),
]
"""Where a server takes lines; may hold a user and a password, which are never shown."""

SecretHeaders = dict[HeaderName, SecretHeaderValue]
"""Header fields whose values are never shown."""


class Rotation(ConfigModel):
    """When a file is put aside, and how long it is kept."""

    max_size: Size = Field(default=100 * 1024 * 1024, ge=0)
    """Size from which on a file is put aside; 0 is no limit."""
    every: Duration = Field(default=0.0, ge=0)
    """Age from which on a file is put aside, counted from 1970 in UTC: ``1d`` is midnight; 0 is never."""
    keep: int = Field(default=10, ge=0)
    """Files that are kept beside the one in use; 0 keeps all."""
    keep_for: Duration = Field(default=0.0, ge=0)
    """Age at which a file that was put aside is removed; 0 is never."""
    compress: bool = False
    """Whether files put aside are compressed with gzip, except the newest, which other processes may still write to."""


class TlsOptions(ConfigModel):
    """How a sink's server is trusted, and how we prove who we are."""

    verify: bool = True
    """Whether the server's certificate is verified."""
    ca: ConfigFile | None = None
    """File of certificates to trust instead of the system's."""
    cert: ConfigFile | None = None
    """File of our certificate."""
    key: ConfigFile | None = None
    """File of its key."""

    @model_validator(mode="after")
    def _check_pair(self) -> TlsOptions:
        if (self.cert is None) != (self.key is None):
            raise ValueError("cert and key belong together: give both")
        return self


class Retries(ConfigModel):
    """What happens to a batch that could not be sent."""

    initial_delay: Duration = Field(default=0.1, gt=0)
    """Delay before the second attempt; it doubles each time, and up to half of it is taken off at random."""
    max_delay: Duration = Field(default=10.0, gt=0)
    """Longest delay between two attempts, unless the other side asks for a longer one."""
    give_up_after: Duration = Field(default=60.0, ge=0)
    """Age at which a batch is dropped; 0 is after one attempt."""
    max_attempts: int = Field(default=0, ge=0)
    """Attempts after which it is dropped; 0 is no limit."""


class Queue(ConfigModel):
    """What waits to be sent: bounded, so that a sink that is away costs lines and never memory or time."""

    max_lines: int = Field(default=10_000, ge=1)
    """Lines that wait at most; further ones are dropped and counted."""
    max_bytes: Size = Field(default=8 * 1024 * 1024, ge=1024)
    """Bytes that wait at most."""
    batch_lines: int = Field(default=1000, ge=1)
    """Lines in a batch at most."""
    batch_bytes: Size = Field(default=1024 * 1024, ge=1024)
    """Bytes in a batch at most."""
    delay: Duration = Field(default=1.0, ge=0)
    """How long a line waits for others."""
    concurrency: int = Field(default=1, ge=1, le=64)
    """Batches under way at once."""
    retries: Retries = Retries()
    """What happens to a batch that could not be sent."""


class _WriterSink(ConfigModel):
    flush_interval: Duration = Field(default=0.2, ge=0)
    """How long a line waits for others before all are written at once."""
    max_pending: Size = Field(default=16 * 1024 * 1024, ge=1024)
    """Bytes that wait at most if the other side does not take them; further lines are dropped and counted."""


class StdoutSink(_WriterSink):
    """Standard output."""

    type: Literal["stdout"]


class StderrSink(_WriterSink):
    """Standard error."""

    type: Literal["stderr"]


class FileSink(_WriterSink):
    """A file; opened anew on SIGUSR1, and when somebody has moved it away."""

    type: Literal["file"]
    path: OutputFile
    """Path, relative to the document that says it; its directory must be there."""
    mode: str = Field(
        default="0640",
        pattern=r"^0[0-7]{3}$",
        json_schema_extra={"x-expected": "a mode", "x-remedy": 'write for example "0640"'},
    )
    """Permissions of a new file, in octal."""
    rotate: Rotation | None = None
    """When it is put aside; never if this is left out."""


class SyslogSink(ConfigModel):
    """A syslog server (RFC 5424)."""

    type: Literal["syslog"]
    address: str
    """``udp://host:514``, ``tcp://host:601``, ``tls://host:6514`` or ``unix:/dev/log``."""
    facility: Literal[
        "user", "daemon", "auth", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7"
    ] = "local0"
    """Facility of the messages; the severity follows the response's status."""
    app_name: str = Field(default="gateway", pattern=r"^[!-~]{1,48}$")
    """APP-NAME of the messages."""
    hostname: str | None = Field(default=None, pattern=r"^[!-~]{1,255}$")
    """HOSTNAME of the messages; this machine's if left out."""
    framing: Literal["octet-counting", "newline"] = "octet-counting"
    """How messages are told apart on a stream (RFC 6587)."""
    max_message: Size = Field(default=0, ge=0)
    """Bytes of a message at most, the rest is cut off; 0 is 2048 on UDP and no limit elsewhere."""
    timeout: Duration = Field(default=5.0, gt=0)
    """Time to connect, and to send a batch."""
    tls: TlsOptions = TlsOptions()
    """For ``tls://``."""
    queue: Queue = Queue()
    """What waits to be sent."""

    @field_validator("address")
    @classmethod
    def _check_address(cls, address: str) -> str:
        if not re.fullmatch(r"unix:/.+|(udp|tcp|tls)://(\[[0-9a-fA-F:.]+\]|[^/:\s\[\]]+)(:[0-9]{1,5})?", address) or (
            not address.startswith("unix:") and not _has_port(address)
        ):
            raise ValueError(f"{address!r} is no address: write udp://host:514, tcp://, tls:// or unix:/dev/log")
        return address


class HttpSink(ConfigModel):
    """A server that takes lines by HTTP."""

    type: Literal["http"]
    url: HttpUrl
    """Where to send."""
    method: Literal["POST", "PUT"] = "POST"
    """Method of the requests."""
    headers: SecretHeaders = {}
    """Further fields, such as ``authorization``."""
    body: Literal["lines", "array"] = "lines"
    """Lines as they are, or a JSON array of them, which needs ``format: json``."""
    content_type: str | None = Field(default=None, pattern=r"^[!-~][ -~]*$")
    """Content type; ``application/x-ndjson``, ``application/json`` or ``text/plain`` if left out."""
    compress: bool = True
    """Whether bodies are compressed with gzip."""
    timeout: Duration = Field(default=10.0, gt=0)
    """Time for one try."""
    keepalive: Duration = Field(default=15.0, ge=0)
    """How long an idle connection is kept for the next batch; 0 closes it."""
    tls: TlsOptions = TlsOptions()
    """For ``https``."""
    queue: Queue = Queue()
    """What waits to be sent."""


def _installed(encoding: str) -> str:
    """Return an encoding whose library is there."""
    if encoding == "protobuf":
        try:
            is_there = find_spec("opentelemetry.proto") is not None
        except ImportError:
            is_there = False
        if not is_there:
            raise ValueError("it takes opentelemetry-proto: pip install 'gateway-plugin-logger[otlp]', or use json")
    return encoding


class OtlpSink(ConfigModel):
    """A collector that takes OpenTelemetry logs by HTTP; ``fields`` and ``add`` become attributes."""

    type: Literal["otlp"]
    endpoint: HttpUrl
    """The collector; ``/v1/logs`` is added if there is no path."""
    encoding: Annotated[Literal["json", "protobuf"], AfterValidator(_installed)] = "json"
    """How records are written: JSON, which costs less here, or protocol buffers, which every collector takes."""
    service_name: str = "gateway"
    """Attribute ``service.name`` of the resource."""
    resource: dict[str, str] = {}
    """Further attributes of the resource, such as ``deployment.environment.name``."""
    body: Template = "{method} {path} {status}"
    """Template of the record's body."""
    headers: SecretHeaders = {}
    """Further fields, such as ``authorization``."""
    compress: bool = True
    """Whether bodies are compressed with gzip."""
    timeout: Duration = Field(default=10.0, gt=0)
    """Time for one try."""
    keepalive: Duration = Field(default=15.0, ge=0)
    """How long an idle connection is kept for the next batch; 0 closes it."""
    tls: TlsOptions = TlsOptions()
    """For ``https``."""
    queue: Queue = Queue()
    """What waits to be sent."""


SinkConfig = Annotated[
    StdoutSink | StderrSink | FileSink | SyslogSink | HttpSink | OtlpSink, Field(discriminator="type")
]
