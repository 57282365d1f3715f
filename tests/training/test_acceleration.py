"""TF32 and `torch.compile`: the same losses, the same names of weights, and a sentence where compiling fails."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.training.runs import Make, finish, losses, start_group, weights, words
from tina_framework.errors import ConfigError
from tina_framework.training.acceleration import set_tf32
from tina_framework.training.loop import Trainer


@pytest.fixture
def flags() -> Iterator[None]:
    """What the whole process shares."""
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    yield
    torch.set_float32_matmul_precision(before[0])
    torch.backends.cudnn.allow_tf32 = before[1]


@pytest.fixture
def forget_compiled() -> Iterator[None]:
    yield
    torch._dynamo.reset()


def steps(config: Any, number: int = 3) -> list[tuple[dict[str, float], float]]:
    trainer = Trainer(config)
    trainer.close()
    return [trainer.stepper.train_step() for _ in range(number)]


@pytest.mark.usefixtures("flags")
@pytest.mark.parametrize(("enabled", "precision"), [(True, "high"), (False, "highest")])
def test_tf32_is_set_for_products_and_convolutions(enabled: bool, precision: str) -> None:
    set_tf32(enabled)
    assert torch.get_float32_matmul_precision() == precision
    assert torch.backends.cudnn.allow_tf32 is enabled
    # The newer names of torch agree, and a mixture of both would raise here.
    assert (torch.backends.cuda.matmul.fp32_precision == "tf32") is enabled
    set_tf32(None)
    assert torch.get_float32_matmul_precision() == precision


@pytest.mark.usefixtures("flags")
def test_on_a_cpu_tf32_changes_nothing(make_config: Make) -> None:
    root = make_config().output_dir
    plain, rounded = (steps(make_config(tf32=tf32, output_dir=root / tf32), 1) for tf32 in ("none", "true"))
    assert torch.get_float32_matmul_precision() == "high"
    assert plain == rounded


BACKENDS = [
    "eager",
    pytest.param("aot_eager", marks=pytest.mark.slow),
    pytest.param(
        "inductor",
        marks=[
            pytest.mark.slow,
            pytest.mark.skipif(shutil.which("g++") is None, reason="inductor needs a C++ compiler"),
        ],
    ),
]


@pytest.mark.usefixtures("forget_compiled")
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_compiled_denoiser_has_the_same_losses_and_names(make_config: Make, backend: str) -> None:
    root = make_config().output_dir
    expected = steps(make_config(output_dir=root / "plain"))
    compiled = make_config(
        output_dir=root / "compiled",
        max_steps=3,
        checkpointing_steps=3,
        torch_compile=True,
        torch_compile_backend=backend,
    )
    trainer = Trainer(compiled)
    found: list[tuple[dict[str, float], float]] = []
    step = trainer.stepper.train_step

    def remember() -> tuple[dict[str, float], float]:
        found.append(step())
        return found[-1]

    trainer.stepper.train_step = remember  # type: ignore[method-assign]
    trainer.train()
    for (mine, norm), (other, other_norm) in zip(found, expected, strict=True):
        assert mine == pytest.approx(other, rel=1e-4)
        assert norm == pytest.approx(other_norm, rel=1e-3)
    names = {name.partition("/")[2] for name in weights(compiled, 3) if name.startswith(("model/", "ema/"))}
    assert names == dict(trainer.components.denoiser.named_parameters()).keys()
    assert not any("_orig_mod" in name for name in weights(compiled, 3))


@pytest.mark.slow
@pytest.mark.parametrize(
    "environment", [{}, {"ACCELERATE_USE_FSDP": "true", "FSDP_VERSION": "2"}], ids=["DDP", "FSDP2"]
)
def test_two_processes_compile(settings: dict[str, Any], tmp_path: Path, environment: dict[str, str]) -> None:
    common = {"max_steps": 4, "checkpointing_steps": 4}
    compiled = {"torch_compile": True, "torch_compile_backend": "eager", "output_dir": tmp_path / "two"}
    [(code, error)] = finish(start_group([words(settings, **common, output_dir=tmp_path / "one")]))
    assert code == 0, error
    done = finish(start_group([words(settings, **common, **compiled)] * 2, **environment))
    assert [code for code, _ in done] == [0, 0], done
    for mine, other in zip(losses(tmp_path / "two"), losses(tmp_path / "one"), strict=True):
        assert mine == pytest.approx(other, rel=1e-4)


@pytest.mark.usefixtures("forget_compiled")
def test_what_cannot_be_compiled_is_said_in_a_sentence(make_config: Make) -> None:
    with pytest.raises(ConfigError, match=r"torch_compile_backend is 'abacus'.*inductor"):
        Trainer(make_config(torch_compile=True, torch_compile_backend="abacus"))

    @torch._dynamo.register_backend(name="broken")
    def broken(graph: Any, inputs: Any) -> Any:
        raise RuntimeError("no compiler here")

    trainer = Trainer(make_config(torch_compile=True, torch_compile_backend="broken"))
    trainer.close()
    with pytest.raises(ConfigError, match=r"(?s)could not compile.*broken.*no compiler here.*torch_compile to false"):
        trainer.stepper.train_step()
