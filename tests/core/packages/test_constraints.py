from __future__ import annotations

from gateway_core.packages.constraints import (
    Constraint,
    Distribution,
    constraints,
    explain_conflict,
    installed_distributions,
    names_of,
)

INSTALLED = {
    "gateway-core": Distribution(
        "0.1", ("pluggy>=1.5", "pydantic (>=2)", 'tomli>=2; python_version < "3.11"', "aiohttp[speedups]>=3")
    ),
    "gateway-plugin-auth": Distribution(
        "0.3", ("pyjwt>=2", 'argon2-cffi>=23; extra == "basic"', "own @ https://x/y.whl")
    ),
    "pydantic": Distribution("2.9", ("pydantic-core==2.23.4",)),
    "pydantic-core": Distribution("2.23.4", ()),
    "unrelated": Distribution("1", ("pluggy<1",)),
}


def texts(*, named: tuple[str, ...] = ()) -> set[str]:
    return {each.text for each in constraints(INSTALLED, ["Gateway_Plugin.Auth"], named)}


def test_what_the_gateway_and_its_plugins_require_is_kept_also_indirectly() -> None:
    assert texts() == {
        "gateway-core==0.1",
        "pluggy>=1.5",
        "pydantic>=2",
        'tomli>=2 ; python_version < "3.11"',
        "aiohttp>=3",
        "pyjwt>=2",
        "pydantic-core==2.23.4",
    }


def test_what_is_to_be_installed_may_change() -> None:
    assert "pyjwt>=2" not in texts(named=("gateway-plugin-auth",))
    assert "gateway-core==0.1" not in texts(named=("gateway-core",))


def test_arguments_of_pip_name_distributions_unless_they_are_files_or_options() -> None:
    arguments = ["Gateway_Plugin.X[extra]>=1", "./folder", "a-1.whl", "--no-index", "plain"]

    assert names_of(arguments) == ["gateway-plugin-x", "plain"]


def test_a_conflict_is_explained_by_whoever_needs_the_version() -> None:
    known = [Constraint("pluggy", "pluggy>=1.5", "gateway-core 0.1"), Constraint("plug", "plug>=1", "b 1")]
    output = (
        "The conflict is caused by:\n    x 1 depends on pluggy<1\n    The user requested (constraint) pluggy>=1.5\n"
    )

    assert explain_conflict(output, known) == ["pluggy>=1.5 is needed by gateway-core 0.1"]


def test_what_is_installed_here_is_found() -> None:
    found = installed_distributions()

    assert any(each.startswith("pluggy") for each in found["gateway-core"].requires)
