"""`run_checks`: the kit without pytest."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from torch import nn

import tina_framework.testing as kit
from tina_framework.builtins.architectures.cnn_2layer import cnn_2layer
from tina_framework.builtins.schedulers.ddpm import DDPMScheduler
from tina_framework.errors import ConfigError
from tina_framework.interfaces.architecture import TargetArchitecture
from tina_framework.testing.catalogue import CHECKS


def test_results_of_a_sound_thing() -> None:
    results = kit.run_checks("architectures", cnn_2layer)
    assert [result.name for result in results] == [check.__name__ for check in CHECKS["architecture"]]
    assert all(result.passed and not result.failed and result.message == "" for result in results)


def test_results_of_a_broken_thing() -> None:
    narrow = TargetArchitecture("narrow", lambda _: nn.Sequential(nn.Flatten(), nn.Linear(3072, 3)))
    results = {result.name: result for result in kit.run_checks("architecture", narrow)}
    assert results["check_fields"].passed
    assert results["check_parameters"].failed
    assert "no parameter that grows with the class count" in results["check_parameters"].message
    skipped = results["check_output_width"]
    assert skipped.skipped
    assert not skipped.passed
    assert not skipped.failed
    assert "check_parameters fails" in results["check_class_counts"].message


def test_what_does_not_apply_is_skipped() -> None:
    class Table:
        name, dim, space, templates = "table", 2, "s", ("{}",)

        def encode_text(self, texts: Any, template: int = 0) -> Any:
            import numpy as np

            return np.array([[len(text), 1.0] for text in texts], dtype=np.float32).reshape(len(texts), 2)

    results = {result.name: result for result in kit.run_checks("encoder", Table(), texts=("a", "bb", "ccc"))}
    assert results["check_image_vectors"].skipped
    assert "no image tower" in results["check_image_batch_invariance"].message
    assert not any(result.failed for result in results.values())
    asked = {result.name: result for result in kit.run_checks("encoder", Table(), texts=("a", "bb"), images=True)}
    assert "no method encode_images" in asked["check_image_vectors"].message


def test_a_flag_that_is_not_true_is_a_finding() -> None:
    failed = [result for result in kit.run_checks("scheduler", DDPMScheduler, stochastic=False) if result.failed]
    assert [result.name for result in failed] == ["check_randomness"]
    assert "Set stochastic = True" in failed[0].message


def test_what_the_plugin_raises_is_a_finding() -> None:
    class Unfriendly(DDPMScheduler):
        def scale_model_input(self, *arguments: Any) -> Any:
            raise KeyError("sigma")

    failed = [result for result in kit.run_checks("scheduler", Unfriendly) if result.failed]
    assert [result.name for result in failed] == ["check_step_runs"]
    assert "KeyError: 'sigma'" in failed[0].message


def test_wrong_calls() -> None:
    with pytest.raises(ConfigError, match=r"kind 'network'; it must be one of architecture, tokenizer"):
        kit.run_checks("network", cnn_2layer)
    with pytest.raises(ConfigError, match=r"has a flag 'stochastik'\. Did you mean 'stochastic'\?"):
        kit.run_checks("scheduler", DDPMScheduler, stochastik=True)


def test_the_core_needs_neither_pytest_nor_hypothesis() -> None:
    code = """
import sys
import tina_framework.testing as kit
assert "torch" not in sys.modules, "torch"
sys.modules["pytest"] = sys.modules["hypothesis"] = None
from tina_framework.testing.catalogue import CHECKS
kit.run_checks("dataset", None)
try:
    kit.EncoderTests
except Exception as error:
    print(type(error).__name__, error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("DependencyError")
    assert "'pytest'" in done.stdout
    assert "tina-framework[test]" in done.stdout
