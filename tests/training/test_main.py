"""The command lines, in one process and in two."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.training.runs import losses, wait_for, words
from tina_framework.storage.locks import folder_lock
from tina_framework.training.__main__ import main


def test_a_run_from_file_and_flags(
    settings: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "recipe.toml"
    file.write_text("\n".join(f'{name} = "{value}"' for name, value in settings.items()))
    assert main(["--config", str(file), "--max-steps", "1"]) == 0
    assert capsys.readouterr().out == f"Generator after 1 steps: {tmp_path / 'run' / 'generator'}\n"


def test_help_and_mistakes(settings: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    assert "--learning_rate NUMBER" in capsys.readouterr().out
    assert main(words(settings, learning_rate="fast", seed=-1, nope=1)) == 2
    assert capsys.readouterr().err.startswith("Error: 3 settings are wrong:")
    assert main(words(settings, zoo="nowhere")) == 1
    assert "'nowhere' is not a zoo" in capsys.readouterr().err


def test_threads_wait_passively_unless_the_user_says_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    def after(given: dict[str, str]) -> str | None:
        for name in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY"):
            monkeypatch.setenv(name, "")  # so that the value that the program sets is removed at the end
            monkeypatch.delenv(name)
        for name, value in given.items():
            monkeypatch.setenv(name, value)
        assert main(["--help"]) == 0
        return os.environ.get("GOMP_SPINCOUNT")

    assert after({}) == "3000"
    assert after({"GOMP_SPINCOUNT": "7"}) == "7"
    assert after({"OMP_WAIT_POLICY": "active"}) is None


def test_an_output_folder_that_cannot_be_is_one_sentence(
    settings: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    for output in (tmp_path / "file", tmp_path / "file" / "run", "/dev/null"):
        assert main(words(settings, output_dir=output)) == 2
        out, err = capsys.readouterr()
        assert (out, err.count("\n"), err[:7]) == ("", 1, "Error: ")
        assert f"'{output}'" in err
    assert main([*words(settings, output_dir=tmp_path / "file" / "run"), "--debug"]) == 2
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_in_order_and_says_how_to_go_on(
    settings: dict[str, Any], tmp_path: Path, number: int, code: int
) -> None:
    command = [sys.executable, "-m", "tina_framework.training", *words(settings, max_steps=100_000)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    log = tmp_path / "run" / "log.jsonl"
    deadline = time.monotonic() + 120
    while not (log.is_file() and log.stat().st_size) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(number)
    out, err = process.communicate(timeout=120)
    assert process.returncode == code
    assert "--resume_from_checkpoint latest" in err
    assert out.startswith("Generator after ")
    assert (tmp_path / "run" / "generator" / "config.json").is_file()


def launch(processes: int, arguments: list[str]) -> None:
    launcher = [
        sys.executable,
        "-m",
        "accelerate.commands.launch",
        "--num_machines",
        "1",
        "--mixed_precision",
        "no",
    ]
    launcher += ["--num_processes", str(processes), "--dynamo_backend", "no", "--num_cpu_threads_per_process", "1"]
    if processes > 1:
        launcher += ["--multi_gpu", "--main_process_port", "0"]  # on a machine without GPU: gloo between CPU processes
    done = subprocess.run(
        [*launcher, "-m", "tina_framework.training", *arguments],
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
    )
    assert done.returncode == 0, done.stderr[-4000:]


@pytest.mark.slow
@pytest.mark.parametrize(("precision", "tolerance"), [("no", 2e-4), ("bf16", 2e-2)])
def test_two_processes_give_the_losses_of_one(
    settings: dict[str, Any], tmp_path: Path, precision: str, tolerance: float
) -> None:
    common: dict[str, Any] = {"max_steps": 24, "num_validation_tasks": 4, "pool_rank": 6, "pool_moments": 3}
    common |= {"learning_rate": 0.001, "mixed_precision": precision}
    launch(1, words(settings, **common, output_dir=tmp_path / "one"))
    launch(2, words(settings, **common, output_dir=tmp_path / "two"))
    one, two = losses(tmp_path / "one"), losses(tmp_path / "two")
    assert len(one) == len(two) == 24
    for a, b in zip(one, two, strict=True):
        assert a == pytest.approx(b, rel=tolerance)
    folder = tmp_path / "two" / "checkpoints" / "step-00000024"
    assert (folder / "rng-00001.safetensors").is_file()
    launch(2, words(settings, **common, output_dir=tmp_path / "two", resume_from_checkpoint="latest"))


def launcher(processes: int, arguments: list[str]) -> list[str]:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(processes)]
    return [*command, "-m", "tina_framework.training", *arguments]


@pytest.mark.slow
def test_two_processes_end_when_the_folder_is_in_use(settings: dict[str, Any], tmp_path: Path) -> None:
    with folder_lock(tmp_path / "run", "trains a generator"):
        done = subprocess.run(
            launcher(2, words(settings)),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
        )
    assert done.returncode == 1
    assert f"is in use: process {os.getpid()} on" in done.stderr


@pytest.mark.slow
def test_two_processes_stop_in_order_at_a_signal(settings: dict[str, Any], tmp_path: Path) -> None:
    process = subprocess.Popen(
        launcher(2, words(settings, max_steps=100_000)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
    )
    log = tmp_path / "run" / "log.jsonl"
    deadline = time.monotonic() + 120
    while not (log.is_file() and log.stat().st_size) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=120)
    assert process.returncode != 0
    assert "--resume_from_checkpoint latest" in err
    assert len(list((tmp_path / "run" / "checkpoints").iterdir())) == 1


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_launcher_does_not_hide_which_process_was_killed(settings: dict[str, Any], tmp_path: Path) -> None:
    process = subprocess.Popen(
        launcher(2, words(settings, max_steps=100_000, process_timeout=60)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
    )
    log = tmp_path / "run" / "log.jsonl"
    wait_for(lambda: log.is_file() and log.stat().st_size > 0)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    ranks = {Path(f"/proc/{child}/environ").read_bytes().split(b"\0RANK=")[1][:1]: int(child) for child in children}
    os.kill(ranks[b"1"], signal.SIGKILL)
    _, err = process.communicate(timeout=120)
    assert process.returncode != 0
    assert "Error: Process 1 of 2 ended at step" in err
