"""Parameter tokenizers, each broken in one way."""

from __future__ import annotations

import dataclasses
from typing import Any

import torch

from tina_framework.builtins.tokenizers.chunk import ChunkTokenizer
from tina_framework.builtins.tokenizers.class_row import ClassRowTokenizer
from tina_framework.interfaces.spec import ParameterSpec
from tina_framework.interfaces.tokenizer import TokenLayout

__all__ = ["MUTANTS"]


class Row(ClassRowTokenizer):
    """`class-row` whose layouts are changed afterwards."""

    def __init__(self, chunk_size: int = 100) -> None:
        super().__init__(chunk_size)

    def layout(self, spec: ParameterSpec, num_classes: int, max_classes: int) -> TokenLayout:
        whole = super().layout(spec, num_classes, max_classes)
        return dataclasses.replace(whole, **self.changes(whole, spec, num_classes))

    def changes(self, layout: TokenLayout, spec: ParameterSpec, num_classes: int) -> dict[str, Any]:
        return {}


class Unchecked(TokenLayout):
    """A layout that does not look at itself."""

    def __post_init__(self) -> None:
        pass


class OnePlaceTwice(ClassRowTokenizer):
    def layout(self, spec: ParameterSpec, num_classes: int, max_classes: int) -> TokenLayout:
        whole = super().layout(spec, num_classes, max_classes)
        source = whole.source.clone()
        source[0, 0] = source[0, 1]
        fields = {field.name: getattr(whole, field.name) for field in dataclasses.fields(whole)}
        return Unchecked(**fields | {"source": source})


class RefusesManyClasses(ClassRowTokenizer):
    def layout(self, spec: ParameterSpec, num_classes: int, max_classes: int) -> TokenLayout:
        if num_classes == max_classes:
            raise ValueError("too many classes")
        return super().layout(spec, num_classes, max_classes)


class ForgetsTheLast(Row):
    def changes(self, layout: TokenLayout, spec: ParameterSpec, num_classes: int) -> dict[str, Any]:
        source = torch.where(layout.source == layout.num_parameters - 1, -1, layout.source)
        return {"source": source, "num_parameters": layout.num_parameters - 1}


class DescribesHalfOfTheTokens(Row):
    def changes(self, layout: TokenLayout, spec: ParameterSpec, num_classes: int) -> dict[str, Any]:
        return {"descriptors": torch.rand(layout.num_tokens // 2, 3)}


class DescribesAllAlike(Row):
    def changes(self, layout: TokenLayout, spec: ParameterSpec, num_classes: int) -> dict[str, Any]:
        return {"position": torch.zeros_like(layout.position), "descriptors": torch.ones(layout.num_tokens, 3)}


class GroupsAsInt32(Row):
    def changes(self, layout: TokenLayout, spec: ParameterSpec, num_classes: int) -> dict[str, Any]:
        return {"group": layout.group.int()}


class CallsEverythingShared(Row):
    def changes(self, layout: TokenLayout, spec: ParameterSpec, num_classes: int) -> dict[str, Any]:
        return {"element_class": torch.full_like(layout.element_class, -1)}


class ClassIsRowNumber(Row):
    """Right only where the class axis is the first."""

    def changes(self, layout: TokenLayout, spec: ParameterSpec, num_classes: int) -> dict[str, Any]:
        parts = [
            torch.full((info.numel,), -1)
            if info.class_axis is None
            else torch.arange(info.numel) * num_classes // info.numel
            for info in spec.parameters(num_classes)
        ]
        flat = torch.cat(parts)
        return {"element_class": torch.where(layout.source >= 0, flat[layout.source.clamp(min=0)], -1)}


class TokensOfTheNextClass(Row):
    def changes(self, layout: TokenLayout, spec: ParameterSpec, num_classes: int) -> dict[str, Any]:
        turned = (layout.token_class + 1) % num_classes
        return {"token_class": torch.where(layout.token_class < 0, -1, turned)}


class AllInOnePosition(Row):
    def changes(self, layout: TokenLayout, spec: ParameterSpec, num_classes: int) -> dict[str, Any]:
        return {"position": torch.zeros_like(layout.position)}


class NarrowGroups(Row):
    def changes(self, layout: TokenLayout, spec: ParameterSpec, num_classes: int) -> dict[str, Any]:
        return {"group_widths": (*layout.group_widths[:-1], layout.group_widths[-1] - 1)}


class ChunksCalledEquivariant(ChunkTokenizer):
    def layout(self, spec: ParameterSpec, num_classes: int, max_classes: int) -> TokenLayout:
        return dataclasses.replace(super().layout(spec, num_classes, max_classes), equivariant=True)


class OneClassTurnedRound(Row):
    """The elements of the last class stand in another order than those of the others."""

    def changes(self, layout: TokenLayout, spec: ParameterSpec, num_classes: int) -> dict[str, Any]:
        source = layout.source.clone()
        used = int((source[-1] >= 0).sum())
        source[-1, :used] = source[-1, :used].flip(0)
        return {"source": source}


class Rounding(TokenLayout):
    def scatter(self, tokens_BPD: torch.Tensor) -> torch.Tensor:
        return super().scatter(tokens_BPD.bfloat16().float())


class RoundsOnTheWay(ClassRowTokenizer):
    def layout(self, spec: ParameterSpec, num_classes: int, max_classes: int) -> TokenLayout:
        whole = super().layout(spec, num_classes, max_classes)
        return Rounding(**{field.name: getattr(whole, field.name) for field in dataclasses.fields(whole)})


def reordered(layout: TokenLayout, order: torch.Tensor) -> dict[str, Any]:
    return {n: getattr(layout, n)[order] for n in ("source", "element_class", "group", "position", "token_class")}


class Shuffled(Row):
    def changes(self, layout: TokenLayout, spec: ParameterSpec, num_classes: int) -> dict[str, Any]:
        return reordered(layout, torch.randperm(layout.num_tokens))


class CountsItsCalls(Row):
    calls = 0

    def changes(self, layout: TokenLayout, spec: ParameterSpec, num_classes: int) -> dict[str, Any]:
        self.calls += 1
        return reordered(layout, torch.arange(layout.num_tokens).roll(self.calls))


class FollowsASet(Row):
    """Tokens turned round if a set happens to list the first parameter's name first."""

    def changes(self, layout: TokenLayout, spec: ParameterSpec, num_classes: int) -> dict[str, Any]:
        names = [info.name for info in spec.parameters(num_classes)]
        return reordered(layout, torch.arange(layout.num_tokens).roll(list(set(names)).index(names[0])))


class FollowsClassAxes(Row):
    def changes(self, layout: TokenLayout, spec: ParameterSpec, num_classes: int) -> dict[str, Any]:
        first = next(iter(spec.class_axes))
        names = [info.name for info in spec.parameters(num_classes)]
        return reordered(layout, torch.arange(layout.num_tokens).roll(names.index(first)))


class GroupsGrowWithTheCount(Row):
    def changes(self, layout: TokenLayout, spec: ParameterSpec, num_classes: int) -> dict[str, Any]:
        return {"group_sizes": (*layout.group_sizes[:-1], num_classes)}


class ForgetsItsSetting(ClassRowTokenizer):
    @property
    def config(self) -> dict[str, Any]:
        return {}


class ConfigWithATuple(ClassRowTokenizer):
    def __init__(self, chunk_size: int = 100, sizes: tuple[int, ...] = (1, 2)) -> None:
        super().__init__(chunk_size)

    @property
    def config(self) -> dict[str, Any]:
        return {"sizes": (1, 2)}


class Nameless(ClassRowTokenizer):
    name = ""


MUTANTS = [
    (Nameless(), "check_description"),
    (ConfigWithATuple(), "check_description"),
    (OnePlaceTwice(), "check_bijection"),
    (RefusesManyClasses(), "check_bijection"),
    (ForgetsTheLast(), "check_bijection"),
    (GroupsAsInt32(), "check_layout_shapes"),
    (DescribesHalfOfTheTokens(), "check_layout_shapes"),
    (DescribesAllAlike(), "check_groups"),
    (CallsEverythingShared(), "check_element_class"),
    (ClassIsRowNumber(), "check_element_class"),
    (TokensOfTheNextClass(), "check_token_class"),
    (AllInOnePosition(), "check_groups"),
    (NarrowGroups(), "check_groups"),
    (ChunksCalledEquivariant(chunk_size=100), "check_equivariance"),
    (OneClassTurnedRound(), "check_equivariance"),
    (RoundsOnTheWay(), "check_round_trip"),
    (Shuffled(), "check_repeatable"),
    (CountsItsCalls(), "check_repeatable"),
    (FollowsASet(), "check_key_order"),
    (FollowsClassAxes(), "check_key_order"),
    (GroupsGrowWithTheCount(), "check_fixed_groups"),
    (ForgetsItsSetting(chunk_size=100), "check_config_rebuilds"),
]
