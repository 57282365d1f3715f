"""Settings of the data: images, the zoo, and the classes and tasks that training draws from them."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import BeforeValidator, Field
from pydantic_settings import NoDecode

from tina_framework.config.fields import (
    MAY_CHANGE,
    CountOrNone,
    NotNegative,
    Number,
    OrNone,
    Positive,
    Section,
    TextList,
    UserPath,
)
from tina_framework.config.sources import weights_from_text
from tina_framework.denoiser.presets import MAX_CLASSES

__all__ = ["DataSettings", "Scheme"]

# Repeated from `tina_framework.zoo.task_sampler.SCHEMES`, whose import would load torch; a test compares the two.
Scheme = Literal["random", "two-superclasses", "ten-superclasses"]


class DataSettings(Section):
    """What the generator learns from."""

    title: ClassVar[str] = "Data"

    dataset: str = Field(
        min_length=1,
        description="Data set with the images, for example arrays:FILE.npz, cifar100 or shapes.",
        # On resume, images, zoo and vectors are compared by content, so their place may change.
        json_schema_extra=MAY_CHANGE,
    )
    train_split: Literal["train", "train+validation"] = Field(
        "train", description="Images to train on. Use train+validation for a final run without validation."
    )
    zoo: UserPath = Field(
        description="Folder of a zoo (see tina zoo build), which holds the generic model and the p-Models.",
        json_schema_extra=MAY_CHANGE,
    )
    zoos: TextList = Field(
        [],
        description="Folders of more zoos, for architectures that are not in the first one.",
        json_schema_extra=MAY_CHANGE,
    )
    zoo_models: CountOrNone = Field(
        None, description="Use only the first so many usable p-Models of the zoo; none uses all of them."
    )
    architecture: Annotated[str | None, OrNone] = Field(
        None, description="Architecture of the generated networks; none uses the zoo's."
    )
    architectures: Annotated[dict[str, NotNegative], NoDecode, BeforeValidator(weights_from_text)] = Field(
        {},
        description="Train one generator for several architectures: their names, with how often each is trained, for example "
        '{"cnn-2layer": 1, "cnn-2layer@2": 1}. Each step trains one of them. Those of weight 0 are written, but not trained. '
        "It needs a tokenizer with descriptors, such as filter:288.",
    )
    scale: Literal["tensor", "network"] = Field(
        "tensor",
        description="Standardise differences from the generic model with one scale per tensor or one for the network.",
    )
    whitening: Annotated[Positive | None, OrNone] = Field(
        None,
        description="Damping of the whitening, for example 0.03: train in coordinates in which all directions change the "
        "generic model equally. none trains in plain coordinates.",
    )
    held_out_classes: TextList = Field(
        [], description="Classes that training never uses, kept to test the generator on unseen classes."
    )
    validation_classes: TextList = Field(
        [],
        description="Classes that the zoo knows but training does not use, kept to choose settings for unseen classes.",
    )
    max_classes: Annotated[int, Number, Field(ge=2, le=MAX_CLASSES)] = Field(
        10,
        description="Largest number of classes in a generated network. Left out with fewer than 20 training classes: "
        "all of them. Left out with class_counts given: at least the largest of those.",
    )
    class_counts: Annotated[dict[int, Positive], NoDecode, BeforeValidator(weights_from_text)] = Field(
        {10: 1.0},
        min_length=1,
        description='Class counts of training tasks with their weights, for example {"10": 2, "5": 1} or 10:2,5:1. '
        "Left out with fewer than 20 training classes: 2 to max_classes with equal weights.",
    )
    schemes: Annotated[dict[Scheme, Positive], NoDecode, BeforeValidator(weights_from_text)] = Field(
        {"random": 1.0},
        min_length=1,
        description="Ways to draw the classes of a task, with their weights: random, two-superclasses, ten-superclasses.",
    )
