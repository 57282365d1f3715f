"""An encoder of a plugin whose vectors are checked wherever they are used, and converted to float32 arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from tina_framework.errors import PluginError, TinaError, reason_of, shorten

__all__ = ["checked_encoder"]

Rows = npt.NDArray[np.float32]


def checked_encoder(made: Any, what: str) -> Any:
    """Return an `Encoder` around one of a plugin, with the same optional methods.

    Args:
        made: what the plugin made.
        what: its name and package, to begin a message.

    Raises:
        PluginError: it is no encoder, or its description is malformed.
    """
    missing = [name for name in ("name", "dim", "space", "templates", "encode_text") if not hasattr(made, name)]
    if missing or isinstance(made, type):
        raise PluginError(
            f"{what} is {shorten(made)}, which has no {missing[0] if missing else 'instance'}; "
            "return an object with name, dim, space, templates and encode_text."
        )
    dim, templates = made.dim, made.templates
    if isinstance(dim, bool) or not isinstance(dim, int | np.integer) or dim < 1:
        raise PluginError(
            f"{what}: dim is {shorten(dim)}; it must be the width of its vectors, a whole number above 0."
        )
    if not isinstance(made.space, str) or not made.space:
        raise PluginError(f"{what}: space is {shorten(made.space)}; it must be text that identifies the vector space.")
    if isinstance(templates, str) or not isinstance(templates, Sequence) or not templates:
        raise PluginError(f'{what}: templates is {shorten(templates)}; it must be a tuple of texts, e.g. ("a {{}}",).')
    if odd := [template for template in templates if not isinstance(template, str)]:
        raise PluginError(f"{what}: templates has the entry {shorten(odd[0])}; every template is a text.")
    # The optional protocols are recognised by their methods, so the wrapper must not have those that the encoder lacks.
    optional = {name: method for name, method in _OPTIONAL.items() if hasattr(made, name)}
    return type("CheckedEncoder", (_Checked,), optional)(made, what)


class _Checked:
    def __init__(self, made: Any, what: str) -> None:
        self._made, self._what = made, what
        self.name, self.dim, self.space, self.templates = (
            str(made.name),
            int(made.dim),
            made.space,
            tuple(made.templates),
        )

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):  # also while a copy is made, when there is no `_made` yet
            raise AttributeError(name)
        return getattr(self._made, name)

    def encode_text(self, texts: Sequence[str], template: int = 0) -> Rows:
        """Return (N, E) for N texts."""
        return self._rows("encode_text", texts, len(texts), self.dim, template=template)

    def _rows(self, method: str, given: Sequence[Any], number: int, width: int | None, **more: Any) -> Rows:
        """Call a method that returns one row for each thing given, and check the array."""
        return _array(self._call(method, given, **more), f"{self._what}: {method}", (number, width))

    def _call(self, method: str, given: Sequence[Any], **more: Any) -> Any:
        try:
            return getattr(self._made, method)(given, **more)
        except (TinaError, MemoryError):
            raise
        except Exception as error:  # code of a plugin may raise anything
            raise PluginError(f"{self._what} failed in {method}: {reason_of(error)}.") from error


def _encode_images(self: _Checked, images: Sequence[Any]) -> Rows:
    return self._rows("encode_images", images, len(images), self.dim)


def _comparison_vectors(self: _Checked, texts: Sequence[str], template: int = 0) -> Rows:
    return self._rows("comparison_vectors", texts, len(texts), None, template=template)


def _text_confidence(self: _Checked, texts: Sequence[str]) -> Rows:
    found = _array(self._call("text_confidence", texts), f"{self._what}: text_confidence", (len(texts),))
    if len(found) and not (float(found.min()) >= 0 and float(found.max()) <= 1):
        raise PluginError(
            f"{self._what}: text_confidence returned values between {found.min():.3g} and {found.max():.3g}; "
            "they are expected cosines, from 0 to 1."
        )
    return found


def _unknown_words(self: _Checked, texts: Sequence[str]) -> list[str]:
    found = self._call("unknown_words", texts)
    if isinstance(found, str) or not isinstance(found, Sequence | set | frozenset):
        raise PluginError(f"{self._what}: unknown_words returned {shorten(found)}; return a list of words.")
    return [str(word) for word in found]


_OPTIONAL = {
    "encode_images": _encode_images,
    "comparison_vectors": _comparison_vectors,
    "text_confidence": _text_confidence,
    "unknown_words": _unknown_words,
}


def _array(given: Any, what: str, shape: tuple[int | None, ...]) -> Rows:
    """Return what an encoder gave as finite float32 of this shape; None fits any width."""
    if hasattr(given, "detach"):  # a tensor of torch, perhaps on a GPU, in half precision or with a gradient
        given = given.detach().cpu().float().numpy() if given.dtype.is_floating_point else given.detach().cpu().numpy()
    expected = (
        "("
        + ", ".join("any width" if size is None else str(size) for size in shape)
        + ("," if len(shape) == 1 else "")
        + ")"
    )
    try:
        array = np.asarray(given)
    except Exception as error:
        raise PluginError(
            f"{what} returned {shorten(given)}, not an array of shape {expected} ({reason_of(error)})."
        ) from error
    if array.dtype.kind not in "fiu" or len(array.shape) != len(shape):
        raise PluginError(
            f"{what} returned {_described(given, array)}; return a float32 array of shape {expected}, one row for each text or picture."
        )
    if any(size is not None and size != own for size, own in zip(shape, array.shape, strict=True)):
        raise PluginError(f"{what} returned an array of shape {array.shape}; {expected} was expected.")
    with np.errstate(over="ignore"):  # float64 beyond the range of float32 is reported below
        rows: Rows = array.astype(np.float32, copy=False)
    if not np.isfinite(rows).all():
        row = int(np.argwhere(~np.isfinite(rows))[0][0])
        raise PluginError(
            f"{what} returned a vector that is not finite (number {row + 1} of {len(rows)}); mend the encoder."
        )
    return rows


def _described(given: Any, array: npt.NDArray[Any]) -> str:
    if array.dtype.kind in "fiu":
        return f"an array of shape {array.shape}"
    return (
        f"an array of {array.dtype}" if isinstance(given, np.ndarray) else f"a {type(given).__name__}, {shorten(given)}"
    )
