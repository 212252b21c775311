from __future__ import annotations

from gateway_core.messages.overridable import overridable_property


class Counting:
    """Counts how often its attribute is computed."""

    reads = 0

    @overridable_property
    def value(self) -> int:
        """A number."""
        self.reads += 1
        return self.reads


def test_the_attribute_is_computed_until_a_value_is_assigned() -> None:
    counting = Counting()

    found = [counting.value, counting.value]
    counting.value = 7

    assert (found, counting.value, counting.reads) == ([1, 2], 7, 2)


def test_the_class_shows_the_property_with_its_documentation() -> None:
    assert Counting.value.__doc__ == "A number."
