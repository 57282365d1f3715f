"""The samplers at work: in the bundled generator, by name, from Python and from the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tina_diffusers import samplers
from tina_framework import Generator, TinaError, list_schedulers
from tina_framework.cli.__main__ import main
from tina_framework.storage.digest import renew_digest

pytestmark = pytest.mark.filterwarnings("ignore:__array:DeprecationWarning")

CLASSES = ["apple", "bear", "castle"]
NAMES = [
    "deis",
    "dpmsolver-multistep",
    "dpmsolver-multistep-sde",
    "dpmsolver-singlestep",
    "euler",
    "euler-ancestral",
    "flow-match-euler-vp",
    "sa-solver",
    "unipc",
]


@pytest.fixture(scope="module")
def generator() -> Generator:
    return Generator.from_pretrained("cifar100-cnn", device="cpu")


def weights(model: Any) -> Tensor:
    return torch.cat([value.flatten() for value in model.state_dict().values()])


def test_the_names_are_all() -> None:
    assert set(list_schedulers()) - {"ddim", "ddpm"} >= set(NAMES)
    assert len(NAMES) == len(samplers.__all__)


@pytest.mark.parametrize("name", NAMES)
def test_of_the_bundled_generator(generator: Generator, name: str) -> None:
    settings: dict[str, Any] = {"scheduler": name, "num_inference_steps": 6}
    model = generator(CLASSES, seed=1, **settings)
    assert model.provenance["scheduler"] == name
    # A seed promises the same model: alone or in a batch, with the classes in any order.
    again = generator([["bus", "clock"], CLASSES, ["forest", "train", "cloud"]], seed=1, **settings)[1]
    torch.testing.assert_close(weights(again), weights(model), atol=1e-4, rtol=1e-4)
    images = torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
    turned = generator(CLASSES[::-1], seed=1, **settings)
    with torch.no_grad():
        torch.testing.assert_close(turned(images).flip(1), model(images), atol=1e-3, rtol=1e-3)
    # Near what the built-in sampler writes, and not the same.
    built_in = weights(generator(CLASSES, seed=1, num_inference_steps=6))
    apart = float((weights(model) - built_in).norm() / built_in.norm())
    assert 0 < apart < 0.1


@pytest.mark.parametrize("name", NAMES)
def test_one_step_is_the_same_network_whoever_takes_it(generator: Generator, name: str) -> None:
    one, other = (generator(CLASSES, num_inference_steps=1, scheduler=scheduler) for scheduler in ("ddim", name))
    torch.testing.assert_close(weights(other), weights(one), atol=1e-5, rtol=1e-5)


def test_as_the_own_sampler_of_a_generator(generator: Generator, tmp_path: Path) -> None:
    folder = tmp_path / "generator"
    generator.save_pretrained(folder)
    stored = json.loads((folder / "config.json").read_text(encoding="utf-8"))

    def load(**changes: Any) -> Generator:
        stored["scheduler"] = {"name": "unipc", "config": samplers.UniPC().config | changes}
        (folder / "config.json").write_text(json.dumps(stored), encoding="utf-8")
        renew_digest(folder / "config.json")
        return Generator.from_pretrained(str(folder), device="cpu")

    own = load()(CLASSES, num_inference_steps=4)
    other = generator(CLASSES, num_inference_steps=4, scheduler="unipc")
    assert own.provenance["scheduler"] == "unipc"
    torch.testing.assert_close(weights(own), weights(other))
    # Back to the built-in one: the two know each other's settings of the noise process.
    load()(CLASSES, num_inference_steps=4, scheduler="ddim")
    with pytest.raises(TinaError, match="clip_sample is True; weights are not pixels") as caught:
        load(clip_sample=True)
    assert "\n" not in str(caught.value)


def run(arguments: list[str]) -> int:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    return int(caught.value.code or 0)


def test_tina_generate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["generate", *CLASSES, "--scheduler", "unipc", "--steps", "4", "--json", "--device", "cpu"]) == 0
    assert json.loads(capsys.readouterr().out)["classifiers"][0]["class_names"] == CLASSES
    assert '"unipc"' in Path("classifier/config.json").read_text(encoding="utf-8")
    assert run(["generate", *CLASSES, "--scheduler", "unipcc"]) == 2
    assert "Did you mean 'unipc'" in capsys.readouterr().err


def test_tina_evaluate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    labels = np.repeat(np.arange(3), 4)
    images = np.random.default_rng(0).integers(0, 256, size=(12, 32, 32, 3)).astype(np.uint8)
    arrays = {"train_images": images, "train_labels": labels, "test_images": images, "test_labels": labels}
    np.savez("toys.npz", class_names=np.array(CLASSES), **arrays)
    Path("tasks.json").write_text(json.dumps({"tasks": [{"classes": CLASSES, "split": "seen"}]}), encoding="utf-8")
    methods = "tina,tina@deis:3,tina@flow-match-euler-vp:3,selection"
    given = ["--dataset", "arrays:toys.npz", "--tasks", "tasks.json", "--out", "out", "--device", "cpu"]
    assert run(["evaluate", "--model", "cifar100-cnn", "--methods", methods, *given]) == 0
    report = Path("out/results.md").read_text(encoding="utf-8")
    assert "`tina@deis:3`" in report
    assert "`tina@flow-match-euler-vp:3`" in report
