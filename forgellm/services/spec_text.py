"""A spec as text: YAML that is read and written, and the command line that starts the same run."""

from __future__ import annotations

import shlex
from collections.abc import Hashable, Mapping
from typing import Any

import yaml

from forgellm.domain.errors import InvalidField
from forgellm.domain.form import changed_fields
from forgellm.domain.spec import TrainingSpec, fields, required_fields, to_dict


class _UniqueKeys(yaml.SafeLoader):
    """PyYAML lets the later of two equal keys win in silence; here both are refused."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                problem = f"{key.value} is given twice"
                raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
            seen.add(str(key.value))
        return super().construct_mapping(node, deep)


def read_yaml(text: str, *, name: str) -> dict[str, object]:
    """The fields in a YAML file. Raises InvalidField with the place where it is not a mapping of fields."""
    try:
        # A SafeLoader: it builds plain values only.
        values = yaml.load(text, Loader=_UniqueKeys)
    # A date or number that is none is a ValueError of the constructor, not a YAMLError.
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise InvalidField(
            f"{name} is not valid YAML: {' '.join(str(error).split())}",
            details={"file": name},
            suggestion="Write one `field: value` a line; `forgellm train --print-yaml` shows the form.",
        ) from error
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise InvalidField(
            f"{name} holds {type(values).__name__}, not fields",
            details={"file": name},
            suggestion="Write one `field: value` a line; `forgellm train --print-yaml` shows the form.",
        )
    return {str(key): value for key, value in values.items()}


def to_yaml(values: Mapping[str, object]) -> str:
    """The fields as YAML that `read_yaml` takes back."""
    return yaml.safe_dump(dict(values), sort_keys=False, allow_unicode=True)


def command_line(spec: TrainingSpec) -> str:
    """The `forgellm train` that starts the same run, with whatever differs from the defaults."""
    values = to_dict(spec)
    named = {name: values[name] for name in [*required_fields(), *changed_fields(spec)]}
    return shlex.join(["forgellm", "train", *options_of(named)])


def options_of(values: Mapping[str, object]) -> list[str]:
    """The words of `forgellm train` that give these fields these values."""
    return [word for name, value in values.items() for word in _option(name, value)]


def _option(name: str, value: object) -> list[str]:
    flag = "--" + name.replace("_", "-")
    if isinstance(value, bool):
        return [flag if value else f"--no-{flag[2:]}"]
    if fields()[name].longest is not None and isinstance(value, list) and value:
        return [word for item in value for word in (flag, str(item))]
    if value is None or value == []:
        return [flag, "none"]
    return [flag, ",".join(map(str, value)) if isinstance(value, list) else str(value)]
