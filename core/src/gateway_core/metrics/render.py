"""Write samples in the text format of Prometheus (0.0.4), or in that of OpenMetrics (1.0.0).

Both have a line for each sample, behind lines with the type and the help of its family. They differ in the name that a
counter's family has (with ``_total`` or without), in information, which is a gauge in the older format, in the unit,
and in the end, which OpenMetrics marks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from gateway_core.metrics.samples import Distribution, Family, Labels, Samples, Series, Value

PROMETHEUS: Final = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS: Final = "application/openmetrics-text; version=1.0.0; charset=utf-8"

SUFFIX: Final = {"counter": "_total", "info": "_info"}
"""What a sample's name has behind the family's, by the kind of the family."""


def content_type_for(accept: str) -> str:
    """Return the format for a client that sends this Accept: OpenMetrics if it prefers that, else Prometheus' own."""
    qualities = _qualities(accept)
    wanted = qualities.get("application/openmetrics-text", qualities.get("application/*", 0.0))
    plain = qualities.get("text/plain", qualities.get("text/*", qualities.get("*/*", 0.0)))
    return OPENMETRICS if wanted > 0 and wanted >= plain else PROMETHEUS


def takes_gzip(accept_encoding: str) -> bool:
    """Return whether a client that sends this Accept-Encoding takes gzip."""
    return _qualities(accept_encoding).get("gzip", 0.0) > 0


def _qualities(header: str) -> dict[str, float]:
    """Return the members of a list with their weights (RFC 9110 section 12.4.2), the highest of those named twice."""
    found: dict[str, float] = {}
    for item in header.split(","):
        name, *parameters = [part.strip().lower() for part in item.split(";")]
        found[name] = max(found.get(name, 0.0), _quality(parameters))
    return found


def _quality(parameters: Sequence[str]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                return float(value)
            except ValueError:
                return 0.0
    return 1.0


def render(samples: Samples, content_type: str = PROMETHEUS) -> bytes:
    """Return samples as the text of a format, families and samples in alphabetical order."""
    is_open = content_type == OPENMETRICS
    lines: list[str] = []
    for _, series in sorted(samples.series.items()):
        if series.values:
            lines += _head(series.family, is_open)
            lines += _histogram(series, has_exemplars=is_open) if series.family.kind == "histogram" else _plain(series)
    if is_open:
        lines.append("# EOF")
    return "".join([f"{line}\n" for line in lines]).encode()


def _head(family: Family, is_open: bool) -> Iterator[str]:
    name, kind = family.name, family.kind
    if not is_open:
        name += SUFFIX.get(kind, "")
        kind = "gauge" if kind == "info" else kind
    yield f"# HELP {name} {_escaped(family.help) if is_open else _escaped_help(family.help)}."
    yield f"# TYPE {name} {kind}"
    if is_open and family.unit:
        yield f"# UNIT {name} {family.unit}"


def _plain(series: Series) -> list[str]:
    name, inside = series.family.name + SUFFIX.get(series.family.kind, ""), _inside_of(series.family.labels)
    return [
        f"{name}{{{inside(labels)}}} {_number(value)}" if labels else f"{name} {_number(value)}"
        for labels, value in sorted(series.values.items(), key=_labels_of)
        if not isinstance(value, Distribution)
    ]


def _histogram(series: Series, *, has_exemplars: bool) -> list[str]:
    name, inside = series.family.name, _inside_of(series.family.labels)
    ends = [*(f'le="{_number(bound)}"}} ' for bound in series.bounds), 'le="+Inf"} ']
    lines = []
    for labels, value in sorted(series.values.items(), key=_labels_of):
        if not isinstance(value, Distribution):
            continue
        text = inside(labels)
        begin, total = f"{name}_bucket{{{text}," if text else f"{name}_bucket{{", 0
        exemplars = value.exemplars if has_exemplars else None
        for bucket, (end, number) in enumerate(zip(ends, value.counts, strict=True)):
            total += number
            line = f"{begin}{end}{_number(total)}"
            if exemplars and (each := exemplars.get(bucket)) is not None:
                line += f' # {{trace_id="{each.trace_id}"}} {_number(each.value)} {each.at:.3f}'
            lines.append(line)
        braces = f"{{{text}}}" if text else ""
        lines += [f"{name}_count{braces} {_number(total)}", f"{name}_sum{braces} {_number(value.sum)}"]
    return lines


def _labels_of(sample: tuple[Labels, Value]) -> Labels:
    return sample[0]


def _inside_of(names: Labels) -> Callable[[Labels], str]:
    """Return what writes the values of these labels, in alphabetical order of the names."""
    order = sorted((f'{name}="', index) for index, name in enumerate(names))
    return lambda labels: ",".join([f'{begin}{_escaped(labels[index])}"' for begin, index in order])


def _escaped(text: str) -> str:
    if "\\" in text or '"' in text or "\n" in text:
        return text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
    return text


def _escaped_help(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n")


def _number(value: float) -> str:
    """Return a number as Go reads it, with a point, as other clients of Prometheus write it."""
    text = repr(float(value))
    return _SPECIAL.get(text, text)


_SPECIAL: Final = {"inf": "+Inf", "-inf": "-Inf", "nan": "NaN"}
