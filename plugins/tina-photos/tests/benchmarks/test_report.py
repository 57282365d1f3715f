"""Tables as Markdown."""

from __future__ import annotations

from photo_tables.report import markdown
from photo_tables.tasks import summary


def test_all_parts_are_written() -> None:
    ours, theirs = [90.0, 94.0], [80.0, 86.0]
    methods = {
        "tina": summary(ours, None),
        "ridge": {**summary(theirs, None), "difference": summary(ours, theirs)["difference"]},
    }
    group = {"num_classes": 12, "num_tasks": 2, "methods": methods}
    row = {"num_classes": 3, "num_tasks": 2, "threshold": 8.5, "accuracy": 0.9, "kept": 0.91, "auroc": 0.95}
    times = {"wall_s": 0.02, "cpu_s": 0.03, "fastest_wall_s": 0.01, "fastest_cpu_s": 0.025}
    slow = {key.removesuffix("_s") + "_ms": 1000 * value for key, value in times.items()}
    results = {
        "tables": [
            {
                "title": "Names",
                "prompts": "Names",
                "part": "test",
                "size": 128,
                "reference": "tina",
                "groups": {"all names": group},
            }
        ],
        "abstaining": {"test": [{**row, "refused": {"mean": 0.625, "ci95": None}}]},
        "speed": {
            "load": 0.5,
            "threads": 2,
            "generate_warm": times,
            "generate_warm_again": times,
            "generate_cold_command": times,
            "classify_ms_per_photograph": {"128": slow},
            "saved_with_trunk_float16_bytes": 6_700_000,
        },
        "warnings": ["Unsure of 'zyx'."],
        "command": "python photos.py",
        "seed": 0,
        "machine": {"processor": "A processor"},
        "date": "2026-11-27T12:00:00+00:00",
    }
    text = markdown(results)
    assert "| **tina** | 92.0 ± 25.4 |  |" in text
    assert "| ridge | 83.0 ± 38.1 | +9.0 ± 12.7 |" in text
    assert "| method | Names: all names (12) |" in text
    assert "| ridge | 83.0 ± 38.1 |\n" in text
    assert "| 3 | 2 | 8.50 | 90.0 | 91.0 | 62.5 | 0.950 |" in text
    assert "model loaded | 0.020 s | 0.010 s | 0.030 s | 0.025 s |" in text
    assert "| 20.0 ms | 10.0 ms | 30.0 ms | 25.0 ms |" in text
    assert "Threads: 2. Load when this began: 0.5." in text
    assert "6.7 MB" in text
    assert "Unsure of 'zyx'." in text
    assert "`python photos.py` (seed 0, A processor, 2026-11-27)" in text
