"""A tokenizer of a plugin whose description and layouts are checked."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tina_framework.errors import PluginError, TinaError, reason_of, shorten
from tina_framework.interfaces.tokenizer import TokenLayout

if TYPE_CHECKING:
    from tina_framework.interfaces.spec import ParameterSpec

__all__ = ["CheckedTokenizer"]

_TOKEN_SHAPES = {"source": 2, "element_class": 2, "group": 1, "position": 1, "token_class": 1}
"""Each tensor of a layout -> its number of axes. All share the first one, the tokens."""


class CheckedTokenizer:
    """A `ParameterTokenizer` around one of a plugin.

    Args:
        made: what the plugin made.
        what: its name and package, to begin a message.

    Raises:
        PluginError: it is no tokenizer, or its `config` cannot be saved as JSON.
    """

    def __init__(self, made: Any, what: str) -> None:
        missing = [name for name in ("name", "config", "layout") if not hasattr(made, name)]
        if missing or isinstance(made, type):
            raise PluginError(
                f"{what} is {shorten(made)}, which has no {missing[0] if missing else 'instance'}; "
                "return an object with name, config and layout(spec, num_classes, max_classes)."
            )
        self._made, self._what = made, what
        self.name = str(made.name)
        _check_json(made.config, what)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):  # also while a copy is made, when there is no `_made` yet
            raise AttributeError(name)
        return getattr(self._made, name)

    @property
    def config(self) -> dict[str, Any]:
        """Return the arguments that rebuild it."""
        return dict(self._made.config)

    def layout(self, spec: ParameterSpec, num_classes: int, max_classes: int) -> TokenLayout:
        """Return the layout for `num_classes`."""
        what = f"{self._what}: layout() for {num_classes} classes"
        try:
            layout = self._made.layout(spec, num_classes, max_classes)
        except (TinaError, MemoryError):
            raise
        except Exception as error:  # code of a plugin may raise anything
            raise PluginError(f"{what} failed: {reason_of(error)}.") from error
        if not isinstance(layout, TokenLayout):
            raise PluginError(f"{what} returned {shorten(layout)}; return a TokenLayout.")
        for name, axes in _TOKEN_SHAPES.items():
            tensor = getattr(layout, name)
            if tensor.dim() != axes or tensor.dtype.is_floating_point or len(tensor) != layout.num_tokens:
                raise PluginError(
                    f"{what}: {name} has the shape {tuple(tensor.shape)} and the type {tensor.dtype}; "
                    f"it must be int64 with {axes} axes, the first of length {layout.num_tokens}."
                )
        expected = spec.num_parameters(num_classes), num_classes
        if (layout.num_parameters, layout.num_classes) != expected:
            raise PluginError(
                f"{what} is for {layout.num_parameters} parameters and {layout.num_classes} classes; "
                f"it must be for {expected[0]} and {expected[1]}."
            )
        return layout


def _check_json(config: Any, what: str) -> None:
    try:
        same = json.loads(json.dumps(config, allow_nan=False)) == config and isinstance(config, dict)
    except (TypeError, ValueError, RecursionError):
        same = False
    if not same:
        raise PluginError(
            f"{what}: config is {shorten(config)}; it must be a dict that JSON gives back unchanged: text, numbers, lists, "
            "True, False and None."
        )
