from __future__ import annotations

from dataclasses import replace

import pytest
from gateway_plugin_kubernetes.endpoint_table import EndpointTable, Found, PortChoice, Scheme
from gateway_plugin_kubernetes.objects import Service, Slice, SliceEndpoint, SlicePort
from gateway_plugin_sdk import EndpointSpec, EndpointStatus
from hypothesis import example, given
from hypothesis import strategies as st

HTTP, WEB, METRICS = SlicePort("http", 8080), SlicePort("web", 8081), SlicePort("metrics", 9090)
UNNAMED = SlicePort("", 7000)
NAMES = st.sampled_from("abc")
SERVICES = st.builds(Service, st.sampled_from(["", "random"]), st.sampled_from([(), ((80, "http"),), ((80, "web"),)]))
ENDPOINTS = st.builds(SliceEndpoint, NAMES, st.booleans(), st.booleans(), st.booleans())
SLICES = st.builds(
    Slice, NAMES, st.sampled_from([(), (HTTP,), (WEB, HTTP), (METRICS,)]), st.lists(ENDPOINTS, max_size=3).map(tuple)
)
CHANGES = st.lists(
    st.tuples(st.just("service"), NAMES, st.none() | SERVICES) | st.tuples(st.just("slice"), NAMES, st.none() | SLICES),
    max_size=20,
)


def of_shop(name: str) -> tuple[str, str]:
    return "shop", name


def found_of(item: Slice, service: Service | None, choice: PortChoice) -> dict[str, Found]:
    port = choice.find(item.ports, service)
    found: dict[str, Found] = {}
    for each in item.endpoints if port is not None else ():
        status = EndpointStatus.DRAIN if each.is_terminating else EndpointStatus.UP
        if port is not None and (each.is_ready or each.is_terminating):
            spec = EndpointSpec("http", each.address, port.number, status=status)
            made = Found(spec, each.is_serving or not each.is_terminating)
            if spec.id not in found or found[spec.id].rank < made.rank:
                found[spec.id] = made
    return found


def naive(
    services: dict[str, Service], slices: dict[str, Slice], choice: PortChoice, *, needs_service: bool
) -> dict[str, EndpointSpec]:
    """The specification: look at everything there is."""
    expected: dict[str, Found] = {}
    for item in slices.values():
        service = services.get(item.service)
        if service is None and needs_service:
            continue
        for name, found in found_of(item, service, choice).items():
            if name not in expected or expected[name].rank < found.rank:
                expected[name] = found
    is_rolled = all(found.spec.status is EndpointStatus.DRAIN for found in expected.values())
    return {
        name: replace(found.spec, status=EndpointStatus.UP) if is_rolled and found.is_serving else found.spec
        for name, found in expected.items()
    }


READY, GOING = SliceEndpoint("a", True, False, True), SliceEndpoint("a", False, True)


@example([("slice", "a", Slice("a", (HTTP,), (READY, GOING, READY)))], None, False)
@given(CHANGES, st.sampled_from([None, 80, 8081, "web"]), st.booleans())
def test_differences_lead_where_a_new_start_would(
    changes: list[tuple[str, str, object]], port: int | str | None, needs_service: bool
) -> None:
    table = EndpointTable(PortChoice(port), needs_service=needs_service)
    services: dict[str, Service] = {}
    slices: dict[str, Slice] = {}
    for kind, name, value in changes:
        (services if kind == "service" else slices).pop(name, None)
        if kind == "service":
            assert value is None or isinstance(value, Service)
            table.put_service(of_shop(name), value)
            services |= {} if value is None else {name: value}
        else:
            assert value is None or isinstance(value, Slice)
            table.put_slice(of_shop(name), value)
            slices |= {} if value is None else {name: value}
        table.endpoints()

    expected = naive(services, slices, PortChoice(port), needs_service=needs_service)
    assert {spec.id: spec for spec in table.endpoints()} == expected


@pytest.mark.parametrize(
    ("port", "ports", "found"),
    [
        (None, (METRICS, WEB, HTTP), HTTP),
        (None, (METRICS, WEB), WEB),
        (None, (METRICS, SlicePort("gateway", 1)), SlicePort("gateway", 1)),
        (None, (METRICS,), None),
        (None, (UNNAMED,), UNNAMED),
        (None, (UNNAMED, METRICS), None),
        ("metrics", (HTTP, METRICS), METRICS),
        ("grpc", (HTTP,), None),
        (9090, (HTTP, METRICS), METRICS),
        (80, (HTTP, METRICS), HTTP),
        (81, (HTTP, METRICS), None),
        (8080, (HTTP, METRICS), METRICS),
    ],
)
def test_a_port_is_found_by_name_or_number(
    port: int | str | None, ports: tuple[SlicePort, ...], found: SlicePort | None
) -> None:
    # The Service's own 8080 leads to the port of the name metrics: a number is the Service's first.
    service = Service(port_names=((80, "http"), (8080, "metrics")))

    assert PortChoice(port).find(ports, service) == found


@pytest.mark.parametrize(
    ("scheme", "port", "expected"),
    [
        ("auto", HTTP, "http"),
        ("auto", SlicePort("https", 1), "https"),
        ("auto", SlicePort("web", 1, "HTTPS"), "https"),
        ("http", SlicePort("https", 1), "http"),
        ("https", HTTP, "https"),
    ],
)
def test_the_scheme_is_the_configured_one_or_the_ports(scheme: Scheme, port: SlicePort, expected: str) -> None:
    assert PortChoice(None, scheme).scheme_of(port) == expected


def test_unchanged_endpoints_stay_the_same_objects() -> None:
    table = EndpointTable(PortChoice(), needs_service=False)
    table.put_slice(of_shop("a"), Slice("users", (HTTP,), (SliceEndpoint("10.0.0.1", True, False),)))
    (first,) = table.endpoints()

    both = (SliceEndpoint("10.0.0.1", True, False), SliceEndpoint("::1", True, False))
    table.put_slice(of_shop("a"), Slice("users", (HTTP,), both))

    assert table.endpoints()[0] is first
    assert table.endpoints()[1].url == "http://[::1]:8080"
    assert table.endpoints() is table.endpoints()


def test_of_several_wishes_the_first_by_name_counts() -> None:
    table = EndpointTable(PortChoice(), needs_service=True)
    for name, strategy in (("c", "random"), ("a", ""), ("b", "least-requests")):
        table.put_service(of_shop(name), Service(strategy))
    assert table.strategy == "least-requests"

    table.put_service(of_shop("b"), None)
    assert table.strategy == "random"


def test_an_address_that_can_be_none_leaves_the_others_alone() -> None:
    table = EndpointTable(PortChoice(), needs_service=False)
    addresses = ("10.0.0.1", "no host", "10.0.0.2")
    endpoints = tuple(SliceEndpoint(address, is_ready=True, is_terminating=False) for address in addresses)

    table.put_slice(("shop", "a"), Slice("a", (SlicePort("http", 80),), endpoints))

    assert [spec.host for spec in table.endpoints()] == ["10.0.0.1", "10.0.0.2"]


def test_endpoints_that_terminate_serve_while_nothing_else_is_left() -> None:
    table = EndpointTable(PortChoice(), needs_service=False)
    going, gone, ready = (
        SliceEndpoint("10.0.0.1", False, True, True),
        SliceEndpoint("10.0.0.2", False, True, False),
        SliceEndpoint("10.0.0.3", True, False, True),
    )

    statuses = []
    for endpoints in ((going, gone), (going, gone, ready), (going, gone)):
        table.put_slice(of_shop("a"), Slice("users", (HTTP,), endpoints))
        statuses.append([spec.status for spec in table.endpoints()])

    up, drain = EndpointStatus.UP, EndpointStatus.DRAIN
    assert statuses == [[up, drain], [drain, drain, up], [up, drain]]
