"""One copy of the training images for all processes of a run on one machine, where they train on the CPU."""

from __future__ import annotations

import contextlib
import json
import platform
from collections.abc import Callable, Iterator
from typing import Any

from accelerate.utils import gather_object

from tina_framework.storage.shared_tensors import SharedTensors, shared
from tina_framework.training.collectives import on_all
from tina_framework.training.data import TrainingImages

__all__ = ["shared_images"]


@contextlib.contextmanager
def shared_images(
    accelerator: Any, load: Callable[[], TrainingImages], needed: bool = True
) -> Iterator[TrainingImages | None]:
    """Yield the training images, mapped from a file that the first process of this machine writes.

    Yield None where each process has to load them itself: on a GPU, whose memory holds its own copy, and if the process is
    alone on its machine. All processes of the run must call this. The file is removed at the end, when all have mapped it.

    Args:
        accelerator: the `accelerate.Accelerator` of the run.
        load: loads the images. It is called in one process of each machine.
        needed: whether the run trains on images. If not, nothing is loaded and None is yielded.

    Raises:
        TinaError: the images cannot be loaded, or their file cannot be written.
    """
    if not needed or accelerator.num_processes == 1 or accelerator.device.type != "cpu":
        yield None
        return
    machine = platform.node()
    machines = gather_object([machine])
    with contextlib.ExitStack() as stack:

        def prepare() -> str | None:
            if not accelerator.is_local_main_process or machines.count(machine) == 1:
                return None
            images = load()
            place = stack.enter_context(shared(images.contents()))
            teacher = [images.taught_by, images.teacher_sha256]
            return json.dumps([images.class_names, images.fingerprint, teacher, place.path, place.places, place.size])

        mine = on_all(accelerator, prepare)
        offers = {name: offer for name, offer in gather_object([(machine, mine)]) if offer is not None}
        yield None if machine not in offers else _opened(offers[machine])
        accelerator.wait_for_everyone()  # until all have mapped the file


def _opened(offer: str) -> TrainingImages | None:
    class_names, fingerprint, teacher, path, places, size = json.loads(offer)
    try:
        tensors = SharedTensors(path, places, size).open()
    except OSError:
        return None  # the first process has other folders, for example those of another container
    return TrainingImages.from_contents(class_names, tensors, fingerprint, *teacher)
