"""Values of parameters that need no converting: typer loads pydantic for each, a third of what a short command takes."""

from __future__ import annotations

import re
from typing import Any

_WHOLE = re.compile(r"[+-]?[0-9]{1,18}")


def spare_converters(command: Any) -> None:
    """Let the parameters of a command take absent values, texts and whole numbers as they are.

    Everything else, and what is wrong, goes to typer's own converters, whose words the user then reads. A typer that
    makes them in another way is left alone.
    """
    make_parser = command.make_parser

    def quick(ctx: Any) -> Any:
        for param in command.get_params(ctx):
            if getattr(param, "_runtime_param", param) is None:
                param._runtime_param = _Quick(param)
        return make_parser(ctx)

    command.make_parser = quick
    for inner in getattr(command, "commands", {}).values():
        spare_converters(inner)


class _Quick:
    """Stands where typer keeps the converter of a parameter, until that one is needed."""

    def __init__(self, param: Any) -> None:
        self._type = param.type_descriptor

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:
        if value is None:
            return () if param.multiple or param.nargs == -1 else None
        kind, about = self._type.annotation, self._type.parameter_info
        if kind is str and isinstance(value, str):
            return value
        if (
            kind == list[str]
            and isinstance(value, (list, tuple))
            and all(isinstance(item, str) for item in value)
        ):
            return list(value)
        # A number where nothing was given: the option's default.
        if kind is int and (type(value) is int or (isinstance(value, str) and _WHOLE.fullmatch(value))):
            number = int(value)
            if (about.min is None or number >= about.min) and (about.max is None or number <= about.max):
                return number
        param._runtime_param = None
        return param.get_runtime_param().coerce(value, param=param, ctx=ctx)
