"""Settings of validation during training."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from tina_framework.config.fields import MAY_CHANGE, NotNegativeCount, OrNone, Section, Steps

__all__ = ["ValidationSettings"]


class ValidationSettings(Section):
    """When generated networks are measured on validation tasks, and on how many."""

    title: ClassVar[str] = "Validation"

    validation_steps: Annotated[Steps | None, OrNone] = Field(
        500,
        description="Steps between validations; none validates at the start and at the end only. "
        "Left out together with max_steps, with fewer than 20 training classes: a quarter of max_steps.",
        json_schema_extra=MAY_CHANGE,
    )
    num_validation_tasks: NotNegativeCount = Field(
        50, description="Number of validation tasks; 0 switches validation off.", json_schema_extra=MAY_CHANGE
    )
