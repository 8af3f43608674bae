"""How a model can be quantized, by name; bounds are those of mlx and mlx-lm."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from forgellm.domain.errors import InvalidField

BITS = (2, 3, 4, 6, 8)
GROUP_SIZES = (32, 64, 128)
RECIPES = ("mixed_2_6", "mixed_3_4", "mixed_3_6", "mixed_4_6")
DEFAULT_BITS, DEFAULT_GROUP_SIZE = 4, 64
# Norms and biases, which stay as they are, come to a percent or two.
_MOST = 0.9


@dataclass(frozen=True)
class Quantization:
    """So many `bits` for every weight, or a `recipe` of mlx-lm that gives more to those that suffer most.

    `group_size` weights of a row share a scale.
    """

    bits: int | None
    recipe: str | None
    group_size: int

    @property
    def words(self) -> str:
        """As part of a name: `4bit`, `mixed_3_6`."""
        return self.recipe or f"{self.bits}bit"


def quantization(
    *, bits: int | None = None, recipe: str | None = None, group_size: int | None = None
) -> Quantization:
    """The wish with its defaults. Raises InvalidField."""
    if bits is not None and recipe is not None:
        raise InvalidField(
            "bits and recipe exclude each other",
            details={"field": "recipe"},
            suggestion="Leave one out: a recipe says how many bits each weight gets.",
        )
    group = DEFAULT_GROUP_SIZE if group_size is None else group_size
    _check("group_size", group, GROUP_SIZES)
    if recipe is not None:
        _check("recipe", recipe, RECIPES)
        return Quantization(None, recipe, group)
    wanted = DEFAULT_BITS if bits is None else bits
    _check("bits", wanted, BITS)
    return Quantization(wanted, None, group)


def possible_group_sizes(widths: Collection[int]) -> tuple[int, ...]:
    """Those that divide the width of at least one layer: the others stay as they are."""
    return tuple(size for size in GROUP_SIZES if any(width % size == 0 for width in widths))


def shortfall(share: float, group_size: int) -> str | None:
    """Why only that `share` of the weights is in fewer bits, None where it is most of them."""
    if share >= _MOST:
        return None
    smaller = "; a smaller group_size may reach more of them" if group_size > GROUP_SIZES[0] else ""
    return (
        f"only {100 * share:.0f} % of the weights are in fewer bits: the widths of the other layers are no "
        f"multiples of {group_size}, and they stay as they were{smaller}"
    )


def _check(field: str, value: object, known: tuple[object, ...]) -> None:
    if value not in known:
        choices = ", ".join(map(str, known))
        raise InvalidField(
            f"{field} {value!r:.100} is not one of {choices}",
            details={"field": field, "known": list(known)},
            suggestion="Choose one of these.",
        )
