"""Settings of what a run writes and where it starts: checkpoints, logs and the exported generator."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from tina_framework.config.fields import (
    MAX_COUNT,
    MAY_CHANGE,
    Number,
    OrNone,
    Positive,
    Section,
    Steps,
    TextList,
    UserPath,
    UserPathText,
)

__all__ = ["OutputSettings"]


class OutputSettings(Section):
    """Where a run starts from, when it stops, and what it writes."""

    title: ClassVar[str] = "Checkpoints, logs and output"

    output_dir: UserPath = Field(
        description="Folder for the log, the checkpoints and the finished generator.", json_schema_extra=MAY_CHANGE
    )
    overwrite_output_dir: bool = Field(
        False, description="Delete the run that output_dir holds and start again.", json_schema_extra=MAY_CHANGE
    )
    init_from: Annotated[str | None, UserPathText, OrNone] = Field(
        None,
        description="Generator whose weights a new run starts from: a folder, a registered name or a Hub id (owner/name or owner/name@revision).",
        # Compared by content: the fingerprint "start".
        json_schema_extra=MAY_CHANGE,
    )
    resume_from_checkpoint: Annotated[str | None, UserPathText, OrNone] = Field(
        None,
        description="Checkpoint to resume from: latest, or the folder of a checkpoint.",
        json_schema_extra=MAY_CHANGE,
    )
    checkpointing_steps: Annotated[Steps | None, OrNone] = Field(
        500,
        description="Steps between checkpoints; none writes one at the end only.",
        json_schema_extra=MAY_CHANGE,
    )
    checkpoints_total_limit: Annotated[int, Number, Field(ge=2, le=MAX_COUNT)] = Field(
        2, description="Number of checkpoints to keep, at least 2.", json_schema_extra=MAY_CHANGE
    )
    max_seconds: Annotated[Positive | None, OrNone] = Field(
        None,
        description="Time limit in seconds: the run then stops, writes a checkpoint and exports.",
        json_schema_extra=MAY_CHANGE,
    )
    logging_steps: Steps = Field(10, description="Steps between lines of the log.", json_schema_extra=MAY_CHANGE)
    report_to: TextList = Field(
        [],
        description="Experiment trackers of Accelerate, for example tensorboard or wandb.",
        json_schema_extra=MAY_CHANGE,
    )
    run_name: str = Field("tina", description="Name of the run in experiment trackers.", json_schema_extra=MAY_CHANGE)
    bundle_zoo_reference: bool = Field(
        False,
        description="Store the generic model in the exported folder, so that users can compare with it.",
        json_schema_extra=MAY_CHANGE,
    )
