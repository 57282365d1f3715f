from __future__ import annotations

import pytest

from tina_framework.evaluation.methods.chance import Chance
from tina_framework.evaluation.scoring import Scorer
from tina_framework.interfaces.method import Context, Network
from tina_framework.zoo.image_bank import ImageBank
from tina_framework.zoo.tasks import Task


@pytest.mark.parametrize("count", [2, 3, 5])
def test_as_many_right_as_one_class_has_pictures(context: Context, count: int) -> None:
    classes = tuple(context.dataset.class_names[:count])
    (answer,) = Chance(context).parameters([Task(classes)])
    assert isinstance(answer, Network)
    bank = ImageBank(context.dataset, "test", context.spec)
    assert Scorer(context.spec, bank).accuracy(answer, classes) == pytest.approx(1 / count)
