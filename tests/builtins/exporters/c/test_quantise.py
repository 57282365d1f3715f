"""From real numbers to integers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.builtins.exporters.c.samples import ClassMaps, everything, pictures, source_of
from tina_framework.builtins.architectures.cnn_2layer import CNN2Layer
from tina_framework.builtins.exporters.c.exporter import integer_network
from tina_framework.builtins.exporters.c.integers import IntegerConvolution, IntegerGroupNorm, IntegerMean
from tina_framework.builtins.exporters.c.reference import first_value, integer_logits
from tina_framework.errors import ConfigError
from tina_framework.interfaces.exporter import ExportSource


def relative_error(source: ExportSource) -> float:
    """Return the error of logits on other pictures, in standard deviations of the logits."""
    pixels = pictures(40, seed=5, size=source.input_shape[1])
    network = integer_network(source)
    ours = source.network(torch.from_numpy(pixels)).numpy()
    error = integer_logits(network, pixels) * network.logit_scale - ours
    return float(np.sqrt((error**2).mean()) / ours.std())


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_logits_are_close_to_those_with_real_numbers(seed: int) -> None:
    assert relative_error(everything(seed)) < 0.15


def test_logits_of_a_convolutional_network_are_closer() -> None:
    torch.manual_seed(0)
    assert relative_error(source_of(CNN2Layer(3), size=32)) < 0.02


def test_logits_that_are_means_are_kept() -> None:
    torch.manual_seed(0)
    assert relative_error(source_of(ClassMaps())) < 0.03


def test_pixels_become_standardised_numbers() -> None:
    source = everything()
    network = integer_network(source)
    pixels = np.arange(256, dtype=np.uint8).reshape(1, 256, 1, 1).repeat(3, axis=3)
    first, how = first_value(network.input, pixels), network.quantisations[0]
    real = source.network.standardise(torch.from_numpy(pixels)).permute(0, 2, 3, 1).numpy()
    assert np.abs((first.astype(int) - how.zero) * how.scale - real).max() <= 0.51 * how.scale


def test_a_mean_that_a_linear_layer_reads_has_16_bits() -> None:
    network = integer_network(source_of(CNN2Layer(3), size=32))
    kinds = [type(operation) for operation in network.operations]
    assert kinds == [IntegerConvolution, IntegerConvolution, IntegerMean, IntegerConvolution]
    assert [q.bits for q in network.quantisations] == [8, 8, 8, 16, 32]
    assert network.quantisations[-1].zero == 0


def test_weights_have_a_scale_for_each_output() -> None:
    class Uneven(CNN2Layer):
        def __init__(self) -> None:
            super().__init__(3)
            with torch.no_grad():
                self.conv1.weight[0] *= 1000
                self.conv1.weight[1] = 0

    made = integer_network(source_of(Uneven(), size=32)).operations[0]
    assert isinstance(made, IntegerConvolution)
    largest = np.abs(made.weights.astype(int)).max(axis=(1, 2, 3))
    assert largest[1] == 0
    assert (np.delete(largest, 1) > 100).all()


def test_sums_that_may_overflow_are_refused() -> None:
    class Wide(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(3 * 300 * 300, 2)
            nn.init.constant_(self.fc.weight, 0.1)

        def forward(self, images: Tensor) -> Tensor:
            logits: Tensor = self.fc(images.flatten(1))
            return logits

    with pytest.raises(ConfigError, match="270000 inputs may overflow sums of 32 bits"):
        integer_network(source_of(Wide(), size=300, calibration=pictures(3, size=300)))


def test_a_bias_that_is_much_larger_than_the_weights_fits() -> None:
    class Biased(CNN2Layer):
        def __init__(self) -> None:
            super().__init__(3)
            with torch.no_grad():
                self.fc.bias.copy_(torch.tensor([1e6, 0, -1e6]))

    source = source_of(Biased(), size=32)
    network = integer_network(source)
    logits = integer_logits(network, pictures(4, size=32)) * network.logit_scale
    assert logits[0] == pytest.approx([1e6, 0, -1e6], abs=10)


def test_group_norm_states_its_limits() -> None:
    class Normalised(nn.Module):
        def __init__(self, weight: float) -> None:
            super().__init__()
            self.norm = nn.GroupNorm(1, 3)
            nn.init.constant_(self.norm.weight, weight)

        def forward(self, images: Tensor) -> Tensor:
            logits: Tensor = self.norm(images).mean(dim=(2, 3))
            return logits

    made = integer_network(source_of(Normalised(0.0))).operations[0]
    assert isinstance(made, IntegerGroupNorm)
    assert not made.factors.any()
    with pytest.raises(ConfigError, match="overflows its integers"):
        integer_network(source_of(Normalised(1.0), size=1000, calibration=pictures(3, size=1000)))


def test_many_pictures_are_thinned_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tina_framework.builtins.exporters.c.quantise.MAX_PICTURES", 10)
    source = everything()
    thinned = integer_network(source_of(source.network.network, calibration=pictures(24)))
    fewer = integer_network(source_of(source.network.network, calibration=pictures(24)[::3]))
    assert thinned.quantisations == fewer.quantisations
