"""The checks of each kind, in the order in which they run: a check comes after those that it needs."""

from __future__ import annotations

from types import MappingProxyType

from tina_framework.testing.checks import (
    architecture,
    architecture_running,
    architecture_widths,
    dataset,
    encoder,
    encoder_extras,
    exporter,
    generator,
    method,
    scheduler,
    scheduler_sampling,
    tokenizer,
    tokenizer_constancy,
    trunk,
    zoo,
)
from tina_framework.testing.findings import Check

__all__ = ["CHECKS"]

CHECKS: MappingProxyType[str, tuple[Check, ...]] = MappingProxyType(
    {
        "architecture": (
            architecture.check_fields,
            architecture.check_parameters,
            architecture.check_class_counts,
            architecture.check_initial_values,
            trunk.check_trunk,
            architecture.check_input_shape,
            architecture.check_output_width,
            architecture_running.check_forward_changes_nothing,
            architecture_running.check_deterministic_in_eval,
            architecture_running.check_rows_are_independent,
            architecture_running.check_functional_call,
            architecture_running.check_vmap,
            architecture_running.check_class_order,
            architecture_widths.check_widths,
        ),
        "tokenizer": (
            tokenizer_constancy.check_description,
            tokenizer.check_bijection,
            tokenizer.check_layout_shapes,
            tokenizer.check_element_class,
            tokenizer.check_token_class,
            tokenizer.check_groups,
            tokenizer.check_equivariance,
            tokenizer.check_round_trip,
            tokenizer_constancy.check_repeatable,
            tokenizer_constancy.check_key_order,
            tokenizer_constancy.check_fixed_groups,
            tokenizer_constancy.check_config_rebuilds,
        ),
        "scheduler": (
            scheduler.check_interface,
            scheduler.check_settings,
            scheduler.check_config_rebuilds,
            scheduler.check_timesteps,
            scheduler.check_add_noise,
            scheduler_sampling.check_step_runs,
            scheduler_sampling.check_training_input,
            scheduler_sampling.check_shape_and_dtype,
            scheduler_sampling.check_oracle,
            scheduler_sampling.check_no_clipping,
            scheduler_sampling.check_randomness,
            scheduler_sampling.check_rows_are_independent,
            scheduler_sampling.check_instances_are_independent,
        ),
        "encoder": (
            encoder.check_description,
            encoder.check_text_vectors,
            encoder.check_empty_batch,
            encoder.check_deterministic,
            encoder.check_batch_invariance,
            encoder.check_order,
            encoder.check_texts_differ,
            encoder.check_inputs_unchanged,
            encoder.check_templates,
            encoder_extras.check_confidence,
            encoder_extras.check_comparison,
            encoder_extras.check_image_vectors,
            encoder_extras.check_image_batch_invariance,
        ),
        "dataset": (
            dataset.check_class_names,
            dataset.check_superclasses,
            dataset.check_splits,
            dataset.check_images,
            dataset.check_labels,
            dataset.check_every_class_has_images,
            dataset.check_splits_are_disjoint,
            dataset.check_deterministic,
            dataset.check_scaled,
            dataset.check_unknown_split,
        ),
        "exporter": (
            exporter.check_fields,
            exporter.check_floating_point,
            exporter.check_int8,
            exporter.check_changes_nothing,
        ),
        "method": (
            method.check_fields,
            method.check_answers,
            method.check_changes_nothing,
            method.check_repeatable,
            method.check_batches,
            method.check_reads_text,
        ),
        "generator": (
            generator.check_folder,
            generator.check_encoder,
            generator.check_generates,
            generator.check_repeatable,
        ),
        "zoo": (zoo.check_folder,),
    }
)
