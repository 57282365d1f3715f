"""`tina diagnose`: the stage that was broken is the one that is named."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch
from torch import Tensor

from tina_framework.evaluation.diagnose import Diagnosis, Stage, diagnose, verdict
from tina_framework.evaluation.result_tables import diagnosis_table
from tina_framework.evaluation.scoring import Scorer
from tina_framework.interfaces.method import Context, MethodUnavailable
from tina_framework.interfaces.spec import ParameterSpec
from tina_framework.zoo.image_bank import ImageBank
from tina_framework.zoo.store import Zoo

NAMES = ("p-model", "round trip", "denoised from t = 20", "denoised from t = 999", "sampled", "selection")
SOUND = (0.70, 0.70, 0.70, 0.69, 0.69, 0.65)


@pytest.fixture
def scorer(spec: ParameterSpec, dataset: Any) -> Scorer:
    return Scorer(spec, ImageBank(dataset, "test", spec))


def diagnosis(*accuracies: float, round_trip: float = 0.0) -> Diagnosis:
    stages = tuple(Stage(name, (value, value)) for name, value in zip(NAMES, accuracies, strict=True))
    return Diagnosis(stages, (20, 999), 1000, round_trip)


@pytest.mark.parametrize(
    ("found", "sentence"),
    [
        (diagnosis(*SOUND), "No stage fails: sampled networks reach 69.0 %, the p-Models 70.0 %."),
        (diagnosis(0.7, 0.6, 0.6, 0.6, 0.6, 0.65), "The round trip fails"),
        (diagnosis(*SOUND, round_trip=0.01), "The round trip fails: tokenizer and normalizer do not restore"),
        (
            diagnosis(0.7, 0.7, 0.5, 0.6, 0.6, 0.65),
            "The denoiser fails: it does not restore p-Models from little noise (20.0 points worse from t = 20 of 1000)",
        ),
        (
            diagnosis(0.7, 0.7, 0.5, 0.7, 0.7, 0.65),
            "Sampling works: sampled networks reach 70.0 %, the p-Models 70.0 %. But the denoiser does not restore",
        ),
        (diagnosis(0.7, 0.7, 0.7, 0.69, 0.5, 0.65), "The sampler fails: one step from pure noise reaches 69.0 %"),
        (diagnosis(0.7, 0.7, 0.7, 0.6, 0.6, 0.65), "No single stage fails, but sampled networks (60.0 %) are worse"),
    ],
)
def test_verdicts(found: Diagnosis, sentence: str) -> None:
    assert verdict(found).startswith(sentence)


def test_every_stage_is_measured(context: Context, scorer: Scorer, zoo: Zoo) -> None:
    done: list[tuple[int, int]] = []
    found = diagnose(context, scorer, num_tasks=3, on_progress=lambda *pair: done.append(pair))
    assert done == [(1, 3), (2, 3), (3, 3)]
    assert found.timesteps == (20, 100, 250, 500, 749, 999)
    assert [stage.name for stage in found.stages] == [
        "p-model", "round trip", *(f"denoised from t = {t}" for t in found.timesteps), "sampled", "selection",
    ]  # fmt: skip
    assert all(len(stage.accuracies) == 3 for stage in found.stages)
    assert found.round_trip < 1e-5
    assert found.stage("round trip") == Stage("round trip", found.stage("p-model").accuracies)
    assert diagnose(context, scorer, num_tasks=3) == found
    table = diagnosis_table(found.to_json())
    assert table[0]["vs p-model"] is None
    assert table[1]["vs p-model"] == "+0.00 ± 0.00"


class Perfect:
    """A denoiser that knows the p-Model it is shown: the clean tokens, whatever the noise."""

    def __init__(self, clean: list[Tensor]) -> None:
        self.clean, self.calls = clean, 0

    def encode(self, *_: Any) -> None: ...

    def denoise(self, *_: Any) -> Tensor:
        self.calls += 1
        return self.clean[(self.calls - 1) // 6]


class PerfectFlow(Perfect):
    """One that says the velocity to them from the x_t it is shown, scaled to unit variance."""

    def denoise(self, seen: Tensor, t_B: Tensor, *_: Any) -> Tensor:
        s = (int(t_B) + 1) / 1000
        velocity: Tensor = (seen * ((1 - s) ** 2 + s**2) ** 0.5 - super().denoise()) / s
        return velocity


@pytest.mark.parametrize("flow", [False, True])
def test_a_denoiser_that_knows_the_model_loses_nothing(
    context: Context, scorer: Scorer, zoo: Zoo, monkeypatch: pytest.MonkeyPatch, flow: bool
) -> None:
    generator, spec = context.generator, context.spec
    if flow:
        settings = {"num_train_timesteps": 1000, "shift": 1.0, "prediction_type": "flow_prediction"}
        sampler = {"name": "flow-match-euler", "config": settings}
        monkeypatch.setattr(generator, "config", dataclasses.replace(generator.config, scheduler=sampler))
    clean, models = [], []
    for entry in zoo.entries[:2]:
        order = sorted(range(3), key=lambda k: entry.classes[k])
        state = spec.select_classes(spec.unflatten(zoo.flat(entry.id), 3), torch.tensor(order))
        models.append(spec.flatten(state, 3))
        clean.append(generator.layout(3).gather(generator.normalizer.normalize(models[-1], 3)[None]))
    monkeypatch.setattr(type(generator), "device", torch.device("cpu"))
    monkeypatch.setattr(generator, "denoiser", PerfectFlow(clean) if flow else Perfect(clean))
    given = iter(models)
    monkeypatch.setattr(generator, "generate_parameters", lambda *_, **__: [next(given)])
    short = dataclasses.replace(context, zoo=Zoo.open(zoo.folder))
    assert short.zoo is not None
    short.zoo.entries = short.zoo.entries[:2]
    found = diagnose(short, scorer)
    expected = found.stage("p-model").accuracies
    assert all(stage.accuracies == expected for stage in found.stages[:-1])


def test_without_a_zoo_it_says_why(context: Context, scorer: Scorer) -> None:
    with pytest.raises(MethodUnavailable, match="there is no zoo"):
        diagnose(dataclasses.replace(context, zoo=None), scorer)
