"""What one open page holds: words, a classifier, photographs with their answers, and pictures to teach with.

Pictures are kept in memory as pixels of the size that the network takes. Their files are not kept.

Shapes: H height, W width.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from tina_framework.classifier.abstention import abstention_scores
from tina_framework.classifier.classifier import GeneratedClassifier
from tina_framework.classifier.fine_tuning.data import FineTuneData, classifier_head
from tina_framework.errors import ConfigError, DataError
from tina_framework.generator.generator import Generator
from tina_framework.images import Preprocessing
from tina_framework.prompts.encoded_task import encode_tasks
from tina_framework.ui.downloads import Download, download_formats, write_download
from tina_framework.ui.limits import MAX_EXAMPLES, MAX_PHOTOGRAPHS, MAX_PICTURE_BYTES, picture_too_large
from tina_framework.ui.words import read_words

__all__ = ["Sample", "Session"]

_TOP = 3
"""Answers for each photograph, as `tina classify` prints them."""

_MOST_MISSING = 5


@dataclass(frozen=True)
class Sample:
    """A picture that the generator's package ships, to be tried at once."""

    path: Path
    truth: str


Samples = Callable[[Sequence[str]], Sequence[Sample]]
"""Class names -> the shipped pictures that show one of them."""


@dataclass
class _Photograph:
    """A photograph. Its answers are kept until the classifier changes.

    Attributes:
        number: names it in requests of the page.
        name: of its file.
        pixels: (1, H, W, 3).
        inputs: what networks take, computed once: a frozen trunk is slow, and it is the same for all classifiers of a generator.
        taught: the class that it is used to teach.
        answers: of the classifier in use.
        before: of the generated classifier, if another one is in use.
    """

    number: int
    name: str
    pixels: npt.NDArray[np.uint8]
    inputs: Tensor | None = None
    taught: str | None = None
    answers: dict[str, Any] | None = None
    before: dict[str, Any] | None = None

    def to_json(self) -> dict[str, Any]:
        return {
            "id": self.number,
            "name": self.name,
            "taught": self.taught,
            "now": self.answers,
            "before": self.before,
        }


@dataclass
class _Example:
    """A picture to teach with. `photograph` is the number of the photograph that it was taken from, if any."""

    label: str
    pixels: npt.NDArray[np.uint8]
    photograph: int | None = None


@dataclass
class Session:
    """The state of one page. It is not thread-safe: the caller lets one thread in at a time.

    Args:
        generator: makes the classifiers.
        samples: finds shipped pictures.
    """

    generator: Generator
    samples: Samples = lambda class_names: ()
    words: str = ""
    _generated: GeneratedClassifier | None = None
    _tuned: GeneratedClassifier | None = None
    _notes: list[str] = field(default_factory=list)
    _seconds: dict[str, float] = field(default_factory=dict)
    _photographs: dict[int, _Photograph] = field(default_factory=dict)
    _examples: list[_Example] = field(default_factory=list)
    _refused: dict[str, str] = field(default_factory=dict)
    _next: int = 1

    def generate(self, words: str) -> None:
        """Generate a classifier from typed words. Photographs stay; so do pictures to teach with, if their class does.

        Raises:
            PromptError: the words are not a task; see `read_words`.
        """
        known = self.generator.known_classes()
        task = read_words(words, self.generator.config.class_names)
        start = time.perf_counter()
        encoded = encode_tasks([task], self.generator.encoder, known_classes=known)
        # More classes than one network can have become an ensemble of networks.
        compose = len(encoded[0]) > self.generator.config.max_classes
        [self._generated] = self.generator(encoded, compose=compose)
        self._seconds = {"generate": time.perf_counter() - start}
        self._tuned, self.words = None, words
        self._refused.clear()
        self._notes = self.generator.prompt_warnings(encoded)
        kept = [example for example in self._examples if example.label in self._generated.class_names]
        if len(kept) < len(self._examples):
            self._notes.append("Pictures to teach with were removed, because their classes are no longer there.")
        self._examples = kept
        self._mark_taught()
        self._answer_again()

    @property
    def classifier(self) -> GeneratedClassifier:
        """The classifier in use: the fine-tuned one if there is one.

        Raises:
            ConfigError: nothing was generated yet.
        """
        found = self._tuned or self._generated
        if found is None:
            raise ConfigError("There is no classifier yet; type words and generate one first.")
        return found

    def add_photograph(self, name: str, data: bytes) -> None:
        """Read a photograph, and answer it if there is a classifier.

        Args:
            name: of the file, for the page.
            data: the bytes of the file.

        Raises:
            DataError: it is no picture, too large, or one too many.
        """
        if len(self._photographs) >= MAX_PHOTOGRAPHS:
            raise DataError(f"There are {MAX_PHOTOGRAPHS} photographs already, which is the limit; remove some first.")
        photograph = _Photograph(self._next, name, self._read(name, data))
        self._photographs[self._next] = photograph
        self._next += 1
        self._answer([photograph])

    def add_samples(self) -> list[Sample]:
        """Add the shipped pictures of the classes as photographs, as far as the limit allows. Returns them in order.

        Raises:
            ConfigError: nothing was generated yet.
            DataError: no shipped picture shows one of the classes.
        """
        found = list(self.samples(self.classifier.class_names))[: MAX_PHOTOGRAPHS - len(self._photographs)]
        if not found:
            raise DataError("No sample picture shows one of these classes; drop photographs of your own.")
        for sample in found:
            self.add_photograph(sample.path.name, sample.path.read_bytes())
        return found

    def remove_photographs(self, number: int | None = None) -> None:
        """Remove one photograph, or all of them. Pictures that were taken from them to teach with stay."""
        if number is None:
            self._photographs.clear()
        else:
            self._photographs.pop(number, None)

    def add_example(self, label: int, name: str, data: bytes) -> None:
        """Add a picture to teach with.

        Args:
            label: index of its class.
            name: of the file, for messages.
            data: the bytes of the file.

        Raises:
            DataError: it is no picture, too large, or one too many; or there is no such class.
        """
        class_name = self._class(label)
        self._check_room_for_example()
        self._examples.append(_Example(class_name, self._read(name, data)))

    def teach(self, number: int, label: int | None) -> None:
        """Say what a photograph shows, so that it is used to teach with. None takes that back.

        Raises:
            DataError: there is no such photograph or class, or one picture too many.
        """
        if number not in self._photographs:
            raise DataError("That photograph is no longer there; drop it again.")
        self._examples = [example for example in self._examples if example.photograph != number]
        if label is not None:
            class_name = self._class(label)
            self._check_room_for_example()
            self._examples.append(_Example(class_name, self._photographs[number].pixels, number))
        self._mark_taught()

    def remove_examples(self, label: int) -> None:
        """Remove the pictures of a class to teach with."""
        class_name = self._class(label)
        self._examples = [example for example in self._examples if example.label != class_name]
        self._mark_taught()

    def fine_tune(self) -> None:
        """Fine-tune the generated classifier on the pictures to teach with. An earlier fine-tuning is replaced.

        Raises:
            DataError: a class has no picture.
            TrainingError: the loss is not finite.
        """
        start = time.perf_counter()
        generated = self._generated_or_raise()
        if not self._examples:
            raise DataError("There are no pictures to teach with yet; choose a class and drop some.")
        # The pixels are cropped already, and reading them must not crop again.
        reader = copy.copy(generated)
        reader.preprocessing = replace(generated.preprocessing, crop_pct=1.0)
        pixels = np.concatenate([example.pixels for example in self._examples])
        data = FineTuneData.prepare(reader, pixels, [example.label for example in self._examples])
        self._tuned = generated.fine_tuned_on(data, lambda done, total: None)
        self._seconds["fine_tune"] = time.perf_counter() - start
        self._answer_again()

    def undo(self) -> None:
        """Go back to the generated classifier. The pictures to teach with stay."""
        self._tuned = None
        self._seconds.pop("fine_tune", None)
        self._answer_again()

    def formats(self) -> list[dict[str, Any]]:
        """Return the formats of a download as JSON values. A format that failed for this classifier says why, too."""
        found = [each.to_json() for each in download_formats()]
        return [each | {"problem": each["problem"] or self._refused.get(each["name"], "")} for each in found]

    def download(self, name: str, folder: Path, *, int8: bool = False) -> Download:
        """Write the classifier in a format into `folder`.

        Raises:
            TinaError: the format is unknown, cannot hold this network, or lacks a package.
        """
        shown = [photograph.pixels for photograph in self._photographs.values()]
        pictures = shown + [example.pixels for example in self._examples if example.photograph is None]
        try:
            return write_download(self.classifier, name, folder, int8=int8, pictures=pictures)
        except ConfigError as error:  # the format cannot hold this network
            self._refused[name] = str(error)
            raise

    def to_json(self) -> dict[str, Any]:
        """Return everything that the page shows, as JSON values."""
        return {
            "words": self.words,
            "classifier": None if self._generated is None else self._described(),
            "notes": list(self._notes),
            "photographs": [photograph.to_json() for photograph in self._photographs.values()],
            "teaching": None if self._generated is None else self._teaching(self._generated),
        }

    def _described(self) -> dict[str, Any]:
        classifier = self.classifier
        return {
            "classes": list(classifier.class_names),
            "parameters": classifier.num_parameters,
            "networks": len(classifier.members or (0,)),
            "seconds": {name: round(value, 3) for name, value in self._seconds.items()},
            "fine_tuned": self._tuned is not None,
            "samples": len(self.samples(classifier.class_names)),
        }

    def _teaching(self, generated: GeneratedClassifier) -> dict[str, Any]:
        counts = [sum(example.label == name for example in self._examples) for name in generated.class_names]
        missing = [name for name, count in zip(generated.class_names, counts, strict=True) if not count]
        needs = ""
        if classifier_head(generated) is not None:
            # A head keeps the rows of classes without pictures.
            if sum(count > 0 for count in counts) < 2:
                needs = "Add pictures of at least two classes."
        elif missing:
            shown = ", ".join(missing[:_MOST_MISSING]) + (" and others" if len(missing) > _MOST_MISSING else "")
            needs = f"Add at least one picture of every class. Still missing: {shown}."
        return {"counts": counts, "needs": needs}

    def _generated_or_raise(self) -> GeneratedClassifier:
        _ = self.classifier
        assert self._generated is not None
        return self._generated

    def _class(self, label: int) -> str:
        names = self.classifier.class_names
        if not 0 <= label < len(names):
            raise DataError("That class is no longer there; choose another one.")
        return str(names[label])

    def _check_room_for_example(self) -> None:
        if len(self._examples) >= MAX_EXAMPLES:
            raise DataError(f"There are {MAX_EXAMPLES} pictures to teach with, which is the limit; remove some first.")

    def _read(self, name: str, data: bytes) -> npt.NDArray[np.uint8]:
        """Return the pixels (1, H, W, 3) of a picture file."""
        if len(data) > MAX_PICTURE_BYTES:
            raise picture_too_large(name)
        preprocessing = Preprocessing.of(self.generator.spec.architecture)
        try:
            return preprocessing.pixels(data)
        except DataError as error:
            # The reader knows only the bytes. The person knows the file by its name.
            said = str(error).removeprefix(f"A picture of {len(data):,} bytes")
            raise DataError(f"'{name}'{said}" if said.startswith(" ") else f"'{name}': {said}") from error

    def _mark_taught(self) -> None:
        taught = {example.photograph: example.label for example in self._examples if example.photograph is not None}
        for photograph in self._photographs.values():
            photograph.taught = taught.get(photograph.number)

    def _answer_again(self) -> None:
        for photograph in self._photographs.values():
            photograph.answers = photograph.before = None
        self._answer(list(self._photographs.values()))

    def _answer(self, photographs: Sequence[_Photograph]) -> None:
        if self._generated is None or not photographs:
            return
        with torch.no_grad():
            for photograph in photographs:
                if photograph.inputs is None:
                    pixels = self._generated.preprocessing(photograph.pixels, self._generated.device)
                    photograph.inputs = self._generated.network_input(pixels)
        inputs = torch.cat([photograph.inputs for photograph in photographs if photograph.inputs is not None])
        for photograph, answers in zip(photographs, _answers(self.classifier, inputs), strict=True):
            photograph.answers = answers
        if self._tuned is not None:
            for photograph, answers in zip(photographs, _answers(self._generated, inputs), strict=True):
                photograph.before = answers


def _answers(classifier: GeneratedClassifier, inputs: Tensor) -> list[dict[str, Any]]:
    """Return the likeliest classes for what the network takes, and whether the classifier would abstain."""
    with torch.no_grad():
        logits = classifier.network(inputs).float().cpu()
    best = classifier.topk_of(logits, _TOP)
    threshold = classifier.abstention_threshold
    unsure = [threshold is not None and score < threshold for score in abstention_scores(logits).tolist()]
    return [
        {"top": [{"class": name, "probability": p} for name, p in answers], "unsure": low}
        for answers, low in zip(best, unsure, strict=True)
    ]
