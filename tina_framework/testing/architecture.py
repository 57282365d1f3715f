"""Standard tests for target architectures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from tina_framework.interfaces.architecture import TargetArchitecture
from tina_framework.testing._base import ConformanceTests, conforms, for_examples, missing_fixture, pytest, st
from tina_framework.testing.checks import architecture as checks
from tina_framework.testing.checks import architecture_running as running
from tina_framework.testing.checks import architecture_widths as family
from tina_framework.testing.checks import trunk

__all__ = ["ArchitectureTests"]


class ArchitectureTests(ConformanceTests, standard=True):
    """Subclass it and define the fixture `architecture`, which returns a `TargetArchitecture`.

    Attributes:
        class_counts: class counts at which the network is built.
        widths: width multipliers at which a family is built. None: five from the least to the greatest.
    """

    class_counts: ClassVar[Sequence[int]] = (2, 3, 16, 33)
    widths: ClassVar[Sequence[float] | None] = None

    @pytest.fixture
    def architecture(self) -> TargetArchitecture:
        """Raise an error; the subclass defines the fixture."""
        raise missing_fixture("architecture", "a TargetArchitecture")

    def test_fields(self, architecture: TargetArchitecture) -> None:
        """To fix: give a registry name, input_shape (1 or 3, H, W), and one mean and positive std for each channel."""
        conforms(self, checks.check_fields, architecture)

    def test_parameters(self, architecture: TargetArchitecture) -> None:
        """To fix: build(K) needs float32 parameters only (no buffers, no tied weights), one of them growing with K."""
        conforms(self, checks.check_parameters, architecture)

    def test_class_counts(self, architecture: TargetArchitecture) -> None:
        """To fix: build the same layers, under the same names, for every number of classes."""
        conforms(self, checks.check_class_counts, architecture)

        @for_examples(num_classes=st.integers(2, 60))
        def holds(num_classes: int) -> None:
            conforms(self, checks.check_class_counts, architecture, class_counts=(num_classes,))

        holds()

    def test_initial_values(self, architecture: TargetArchitecture) -> None:
        """To fix: initialise every parameter, with torch's global random generator only."""
        conforms(self, checks.check_initial_values, architecture)

    def test_trunk(self, architecture: TargetArchitecture) -> None:
        """To fix: let a frozen trunk load fixed weights and return float32 features of feature_shape, image by image."""
        conforms(self, trunk.check_trunk, architecture)

    def test_input_shape(self, architecture: TargetArchitecture) -> None:
        """To fix: make input_shape what the first layer, and any flattening, expects."""
        conforms(self, checks.check_input_shape, architecture)

    def test_output_width(self, architecture: TargetArchitecture) -> None:
        """To fix: return logits (N, K), one row an image, also for a single image."""
        conforms(self, checks.check_output_width, architecture)

    def test_forward_changes_nothing(self, architecture: TargetArchitecture) -> None:
        """To fix: use no running statistics, counters or in-place operations in forward."""
        conforms(self, running.check_forward_changes_nothing, architecture)

    def test_deterministic_in_eval(self, architecture: TargetArchitecture) -> None:
        """To fix: draw no random numbers in eval mode."""
        conforms(self, running.check_deterministic_in_eval, architecture)

    def test_rows_are_independent(self, architecture: TargetArchitecture) -> None:
        """To fix: mix nothing over the batch axis; use GroupNorm or LayerNorm instead of BatchNorm."""
        conforms(self, running.check_rows_are_independent, architecture)

    def test_functional_call(self, architecture: TargetArchitecture) -> None:
        """To fix: read parameters through self in forward, and make constant tensors there rather than in __init__."""
        conforms(self, running.check_functional_call, architecture)

    def test_vmap(self, architecture: TargetArchitecture) -> None:
        """To fix: use no .item(), branches on values, dropout or in-place updates in forward."""
        conforms(self, running.check_vmap, architecture)

    def test_class_order(self, architecture: TargetArchitecture) -> None:
        """To fix: use entry k of every axis of length K for logit k and for no other."""
        conforms(self, running.check_class_order, architecture)

    def test_widths(self, architecture: TargetArchitecture) -> None:
        """To fix: build the same layers at every width, with no size that shrinks where the width grows."""
        conforms(self, family.check_widths, architecture)
        least, greatest = architecture.widths or (1.0, 1.0)

        @for_examples(width=st.floats(least, greatest))
        def holds(width: float) -> None:
            conforms(self, family.check_widths, architecture, widths=(least, width, greatest))

        holds()
