"""What the demo says it measured."""

from __future__ import annotations

from collections.abc import Mapping

from forgellm.cli import tables
from forgellm.services.demo import Gain


def answers_line(outcome: Mapping[str, object]) -> str:
    """`12 of 198 answers are exactly right (6.1 %)`."""
    return f"{outcome['correct']} of {outcome['count']} answers are exactly right ({_percent(outcome)})"


def table(cpt: Gain, ift: Gain, *, before: Mapping[str, object], after: Mapping[str, object]) -> list[str]:
    """Each measurement before and after, as aligned lines."""
    rows = [
        ["validation loss, documents of the town (CPT)", f"{cpt.before:.4f}", f"{cpt.after:.4f}"],
        ["validation loss, questions about it (IFT)", f"{ift.before:.4f}", f"{ift.after:.4f}"],
        ["held-out questions answered exactly", _percent(before), _percent(after)],
    ]
    if cpt.general_before is not None and cpt.general_after is not None:
        general = [
            "validation loss, general language",
            f"{cpt.general_before:.4f}",
            f"{cpt.general_after:.4f}",
        ]
        rows.insert(1, general)
    return tables.table(["measured", "before", "after"], rows, left=["measured"])


def _percent(outcome: Mapping[str, object]) -> str:
    share = outcome["exact_match"]
    assert isinstance(share, float)
    return f"{share:.1%}"
