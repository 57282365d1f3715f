"""What the documents say must be true: examples run, commands and flags exist, links resolve, nothing is left out."""

from __future__ import annotations

import dataclasses
import json
import re
import runpy
import shlex
import subprocess
import sys
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = sorted(
    [
        *ROOT.glob("*.md"),
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / "examples").rglob("*.md"),
        *(ROOT / "plugins").glob("*/README.md"),
    ]
)
HAS_CHECKPOINT = (ROOT / "tina_framework" / "pretrained" / "cifar100-cnn").is_dir()


class Block(NamedTuple):
    """A fenced block; `runnable` is what follows ``<!-- runnable`` in the line before it, None without that line."""

    document: Path
    line: int
    language: str
    text: str
    runnable: str | None

    @property
    def label(self) -> str:
        return f"{self.document.relative_to(ROOT).as_posix()}:{self.line}"


def blocks(document: Path) -> list[Block]:
    found: list[Block] = []
    before, opened = "", None
    for number, line in enumerate(document.read_text(encoding="utf-8").splitlines(), start=1):
        if opened is None and (fence := re.fullmatch(r"```(\w*)", line)):
            mark = re.fullmatch(r"<!-- runnable(?:: ?(\w+))? -->", before)
            opened = (number, fence.group(1), [], (mark.group(1) or "") if mark else None)
        elif opened is not None and line == "```":
            start, language, lines, runnable = opened
            found.append(Block(document, start, language, "\n".join(lines) + "\n", runnable))
            opened = None
        elif opened is not None:
            opened[2].append(line)
        before = line
    assert opened is None, f"{document}: a fenced block is not closed"
    return found


BLOCKS = [block for document in DOCUMENTS for block in blocks(document)]
PYTHON = [block for block in BLOCKS if block.language == "python"]
RUNNABLE = [block for block in BLOCKS if block.runnable is not None]


def test_the_documents_have_runnable_examples() -> None:
    documents = {block.document.name for block in RUNNABLE}
    assert {"README.md", "datasets.md", "plugins.md", "zoo.md"} <= documents
    assert all(block.language == "python" for block in RUNNABLE), "only Python blocks are run here"


@pytest.mark.parametrize("block", PYTHON, ids=lambda block: block.label)
def test_python_blocks_are_python(block: Block) -> None:
    compile(block.text, block.label, "exec")


@pytest.mark.parametrize("block", RUNNABLE, ids=lambda block: block.label)
def test_runnable_blocks_run(block: Block, tmp_path: Path) -> None:
    """In a fresh process and an empty folder, as a reader would try them."""
    if block.runnable == "checkpoint" and not HAS_CHECKPOINT:
        pytest.skip("the bundled checkpoint is not in the tree")
    done = subprocess.run(
        [sys.executable, "-c", block.text], capture_output=True, text=True, timeout=300, check=False, cwd=tmp_path
    )
    assert done.returncode == 0, f"{block.label}\n{done.stderr[-3000:]}"
    # A comment behind a print() says what it prints.
    promised = re.findall(r"^print\(.*\)  # (.*)$", block.text, flags=re.MULTILINE)
    shown = done.stdout.splitlines()
    for text in promised:
        if text not in ("train, validation or test",):
            assert text in shown, f"{block.label} promises {text!r} but printed {shown}"


@pytest.mark.slow
def test_the_python_of_the_page_on_zoos_runs_in_its_order(tmp_path: Path) -> None:
    """One block builds a zoo in stages, and the next one reads it."""
    code = [block.text for block in PYTHON if block.document.name == "zoo.md" and block.runnable is None]
    assert len(code) == 3
    del code[0]  # It is about a zoo of several widths, which takes longer.
    short = "epochs = 1\nbatch_size = 64\nlr = 0.1\n"
    recipe = f"num_models = 2\nclass_counts = {{ 4 = 1 }}\n\n[generic]\n{short}\n[model]\n{short}"
    (tmp_path / "zoo.toml").write_text(recipe, encoding="utf-8")
    # Workers import the program that started them, so it is a file.
    body = "\n".join(code).replace("\n", "\n    ")
    (tmp_path / "page.py").write_text(f"if __name__ == '__main__':\n    {body}\n", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "page.py"], capture_output=True, text=True, timeout=300, check=False, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert len(done.stdout.splitlines()) == 2


@pytest.mark.skipif(not HAS_CHECKPOINT, reason="the bundled generators are not in the tree")
def test_the_table_of_networks_of_one_generator_is_true() -> None:
    """The page says of each network what the generator and the exporter say."""
    from tina_framework.classifier.exporting.flash import flash_bytes
    from tina_framework.generator.generator import Generator
    from tina_framework.plugin.discovery import registries

    generator = Generator.from_pretrained("cifar100-many")
    (page,) = (
        document for document in DOCUMENTS if document.name == "architectures.md" and document.parent.name == "how-to"
    )
    rows = [line for line in page.read_text(encoding="utf-8").splitlines() if line.startswith("| `")]
    expected = []
    for name, found in generator.architectures.items():
        flash = flash_bytes(registries().architectures.create(name), [*"abcdefghij"])
        metrics = generator.config.architectures[name]["metrics"]
        accuracy = metrics["embedding-table"]["unseen-combination"]["10"]
        label = f"`{name}`" + ("" if found.trained else ", not trained")
        expected.append(f"| {label} | {found.num_parameters(10):,} | {flash:,} | {100 * accuracy:.1f} % |")
    assert rows == expected


@pytest.mark.slow
@pytest.mark.cifar100
def test_the_python_of_the_page_on_evaluation_runs(cifar100_path: Path, tmp_path: Path) -> None:
    (code,) = (block.text for block in PYTHON if block.document.name == "evaluation.md")
    (tmp_path / "cifar100.npz").symlink_to(cifar100_path.resolve())
    tasks = {"tasks": [{"classes": ["apple", "bear"], "split": "seen"}, {"classes": ["bus", "train"], "split": "seen"}]}
    (tmp_path / "tasks.json").write_text(json.dumps(tasks), encoding="utf-8")
    shown = subprocess.run(
        [sys.executable, "-c", f"{code}\nprint(results.summary['paired'][0]['method'])"],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        cwd=tmp_path,
    )
    assert shown.stdout.strip() == "tina", shown.stderr[-3000:]


# Commands


@cache
def command_tree() -> Any:
    from typer.main import get_command

    from tina_framework.cli.app import COMMANDS, build_app

    tree: Any = get_command(build_app())
    for name in COMMANDS:  # each is imported when it is asked for
        tree.get_command(None, name)
    return tree


def options_of(command: Any) -> set[str]:
    return {"--help", "-h"} | {
        option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)
    }


@cache
def commands_of_plugins() -> set[str]:
    """What the plugins of this repository, and the example of one, add to ``tina``."""
    sources = [*ROOT.glob("plugins/*/tina_*/**/*.py"), *ROOT.glob("examples/third_party_plugin/**/*.py")]
    return {
        name
        for path in sources
        for name in re.findall(r'\bapp\.command\("([a-z-]+)"', path.read_text(encoding="utf-8"))
    }


@cache
def training_flags() -> set[str]:
    from tina_framework.config.training import TrainingConfig

    return {"--config", "--plugin", "--help", "-h", "--field"} | {f"--{name}" for name in TrainingConfig.model_fields}


def check_tina(words: list[str]) -> str | None:
    """Why ``tina WORDS`` cannot be: an unknown command or flag. None: it can."""
    command, path = command_tree(), ["tina"]
    while words:
        word = words.pop(0)
        if word.startswith("-") and word not in ("-", "--"):
            flag = word.partition("=")[0]
            if path == ["tina", "train"]:
                if flag.replace("-", "_").replace("__", "--", 1) not in training_flags():
                    return f"'{' '.join(path)}' has no flag {flag}"
                continue
            if flag not in options_of(command):
                return f"'{' '.join(path)}' has no flag {flag}"
            parameter = next((p for p in command.params if flag in (*p.opts, *p.secondary_opts)), None)
            if parameter is not None and not getattr(parameter, "is_flag", False) and "=" not in word and words:
                words.pop(0)
        elif getattr(command, "commands", None):
            if not re.fullmatch(r"[a-z][a-z-]*", word):
                return None  # ``tina COMMAND --help``
            if path == ["tina"] and word in commands_of_plugins():
                return None  # its flags are the plugin's own tests' concern
            if word not in command.commands:
                return f"'{' '.join(path)}' has no command '{word}'"
            command = command.commands[word]
            path.append(word)
    return None


def check_module(words: list[str]) -> str | None:
    """The same for ``... -m tina_framework.MODULE WORDS``."""
    module, rest = words[0], words[1:]
    if module == "tina_framework.cli":
        return check_tina(rest)
    if module == "tina_framework.training":
        return check_tina(["train", *rest])
    return f"there is no program 'python -m {module}'"


def commands_in(document: Path) -> list[tuple[str, list[str]]]:
    """(where, words) of every call of ``tina`` or of a module of ours, in blocks and in inline code."""
    texts: list[tuple[str, str]] = []
    for block in blocks(document):
        if block.language in ("console", "sh", "bash", "shell", ""):
            joined = block.text.replace("\\\n", " ")
            texts += [(block.label, line) for line in joined.splitlines()]
    prose = re.sub(r"^```.*?^```", "", document.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    texts += [(document.name, code) for code in re.findall(r"`([^`\n]+)`", prose)]
    found = []
    for where, text in texts:
        text = re.sub(r"\s+#.*$", "", text).strip().removeprefix("$ ").replace("[", "").replace("]", "")
        if re.match(r"tina [a-z-]", text) or "-m tina_framework" in text:
            try:
                found.append((where, shlex.split(text.replace("...", ""))))
            except ValueError:
                found.append((where, text.split()))
    return found


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_commands_and_flags_exist(document: Path) -> None:
    wrong = []
    for where, words in commands_in(document):
        if words[0] == "tina":
            problem = check_tina(words[1:])
        else:
            at = next(i for i, word in enumerate(words) if word == "-m" and words[i + 1].startswith("tina_framework"))
            problem = check_module(words[at + 1 :])
        if problem is not None:
            wrong.append(f"{where}: {problem}")
    assert not wrong, "\n".join(wrong)


def test_the_check_of_commands_finds_mistakes() -> None:
    assert check_tina(["zoo", "biuld"]) == "'tina zoo' has no command 'biuld'"
    assert (
        check_tina(["zoo", "build", "--out", "x", "--datasets", "shapes"]) == "'tina zoo build' has no flag --datasets"
    )
    assert check_tina(["train", "--learning-rate", "1", "--nope", "2"]) == "'tina train' has no flag --nope"
    assert check_tina(["--plugin", "f.py", "zoo", "info", "DIR", "--test", "--signal", "--dataset=shapes"]) is None
    assert check_module(["tina_framework.nothing"]) is not None
    assert sum(len(commands_in(document)) for document in DOCUMENTS) >= 20


def test_the_first_commands_of_the_readme_are_targets_of_make() -> None:
    assert blocks(ROOT / "README.md")[0].text == "make demo\nmake test\n"
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert re.search(r"^demo:", makefile, re.MULTILINE)
    assert re.search(r"^test:", makefile, re.MULTILINE)


def test_the_readme_keeps_its_order() -> None:
    headings = re.findall(r"^## (.+)$", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert headings[:4] == ["Install", "First use", "Use it elsewhere", "What it can and cannot do"]
    assert headings[4:7] == ["How it works", "Extending", "Links"]


def test_the_figures_of_the_readme_are_recorded_results() -> None:
    """Each accuracy and paired difference of the README's table is, rounded, one of `docs/reference/results.md`."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    table = readme.partition("<!-- results: begin")[2].partition("<!-- results: end -->")[0]
    rows = [line.split("|")[1:-1] for line in table.splitlines() if line.startswith("| `")]
    assert len(rows) >= 5
    results = (ROOT / "docs" / "reference" / "results.md").read_text(encoding="utf-8")
    for method, accuracy, difference, *_ in rows:
        name = re.findall(r"`([\w@-]+)`", method)[0]
        recorded = re.findall(
            rf"^\| `{re.escape(name)}\b[^|]*\|[^|]*\| ([\d.]+)[^|]*\| ([^|]*)\|", results, re.MULTILINE
        )
        tens = [Decimal(number) - Decimal(accuracy.strip()) for number, _ in recorded]
        assert any(abs(difference) <= Decimal("0.05") for difference in tens), f"{name}: {accuracy}"
        if "(" in difference:
            assert any(difference.strip() == text.strip() for _, text in recorded), f"{name}: {difference}"


def test_the_diagrams_are_what_their_script_draws() -> None:
    folder = ROOT / "docs" / "images"
    drawings = runpy.run_path(str(folder / "drawings.py"))["DRAWINGS"]
    assert "pipeline.svg" in drawings
    for name, draw in drawings.items():
        assert (folder / name).read_text(encoding="utf-8") == draw(), f"run docs/images/drawings.py, which draws {name}"


def test_the_recording_of_the_demo_shows_the_command_of_the_makefile() -> None:
    """Its lines are compared in the tests of tina-photos, where the demo can run."""
    pytest.importorskip("fcntl", reason="needs Linux or macOS")
    terminal = runpy.run_path(str(ROOT / "docs" / "images" / "terminal.py"))
    recorded = (ROOT / "docs" / "images" / "demo.svg").read_text(encoding="utf-8")
    assert "generate" in terminal["demo"]()
    command = shlex.join(["tina", *terminal["demo"]()])
    assert f"$ {command} " in " ".join(terminal["words"](recorded)), "run docs/images/terminal.py"
    assert "url(" not in re.sub(r"url\(#", "", recorded), "the picture loads a file"
    drawn = terminal["draw"](["--version"], "\x1b[1mbold\x1b[0m took 0.25 s")
    assert " ".join(terminal["words"](drawn)) == "make demo $ tina --version bold took TIME"


def test_no_document_draws_with_characters() -> None:
    drawn = [block.label for block in BLOCKS if re.search(r"[\u2500-\u257f\u25b6]", block.text)]
    assert drawn == []


def test_every_command_is_in_the_reference() -> None:
    from tina_framework.cli.app import COMMANDS

    text = (ROOT / "docs" / "reference" / "commands.md").read_text(encoding="utf-8")
    for name in COMMANDS:
        command = command_tree().commands[name]
        names = [f"tina {name} {inner}" for inner in getattr(command, "commands", {})] or [f"tina {name}"]
        missing = [full for full in names if f"`{full}" not in text]
        assert not missing, f"docs/reference/commands.md does not mention {', '.join(missing)}"


# Completeness


def test_every_setting_of_a_zoo_is_documented() -> None:
    from tina_framework.zoo.zoo_config import ZooConfig

    text = (ROOT / "docs" / "reference" / "zoo-settings.md").read_text(encoding="utf-8")
    assert [f.name for f in dataclasses.fields(ZooConfig) if f"`{f.name}`" not in text] == []


def test_the_fields_of_sgd_recipes_are_documented_with_their_defaults() -> None:
    from tina_framework.targets.sgd import SGDRecipe
    from tina_framework.zoo.zoo_config import GENERIC_RECIPE, MODEL_RECIPE

    text = (ROOT / "docs" / "reference" / "zoo-settings.md").read_text(encoding="utf-8")
    rows = {
        name: [cell.strip() for cell in line.split("|")[2:4]]
        for line in text.splitlines()
        if line.startswith("| `")
        for name in re.findall(r"`(\w+)`", line.split("|")[1])
    }
    for field in dataclasses.fields(SGDRecipe):
        assert field.name in rows, f"docs/reference/zoo-settings.md has no row for {field.name}"
    for name in ("epochs", "batch_size", "lr"):
        assert [float(cell) for cell in rows[name]] == [GENERIC_RECIPE[name], MODEL_RECIPE[name]]


def test_every_split_is_documented() -> None:
    from tina_framework.zoo.tasks import SPLITS

    text = (ROOT / "docs" / "how-to" / "zoo.md").read_text(encoding="utf-8")
    assert [split for split in SPLITS if f"`{split}`" not in text] == []


def test_every_hook_and_built_in_is_documented() -> None:
    from tina_framework.plugin.discovery import plugin_records
    from tina_framework.plugin.hookspecs import HookSpecs

    text = (ROOT / "docs" / "reference" / "plugin-api.md").read_text(encoding="utf-8")
    hooks = [name for name in vars(HookSpecs) if not name.startswith("_")]
    assert [hook for hook in hooks if f"`{hook}(" not in text] == []
    built_in = next(record for record in plugin_records() if record.name == "builtins")
    for kind, names in built_in.provides.items():
        row = next((line for line in text.splitlines() if line.startswith(f"| {kind} |")), "")
        assert [name for name in names if f"`{name}`" not in row] == [], f"docs/reference/plugin-api.md, row {kind}"


def test_every_data_set_is_documented() -> None:
    from tina_framework.plugin.discovery import registries

    text = (ROOT / "docs" / "how-to" / "datasets.md").read_text(encoding="utf-8")
    assert [name for name in registries().datasets.names() if f"`{name}" not in text] == []


def test_every_room_is_in_the_architecture() -> None:
    text = (ROOT / "docs" / "explanation" / "architecture.md").read_text(encoding="utf-8")
    package = ROOT / "tina_framework"
    folders = [f"{path.name}/" for path in package.iterdir() if path.is_dir() and not path.name.startswith("_")]
    modules = [path.name for path in package.glob("*.py") if not path.name.startswith("_")]
    assert [name for name in sorted(folders + modules) if f"`{name}`" not in text] == []
    named = re.findall(r"`(\w+\.py|\w+/)`", text)
    within = {path.name for path in package.rglob("*.py")} | {
        f"{path.name}/" for path in package.rglob("*") if path.is_dir()
    }
    assert [name for name in named if name not in within] == [], "named, but not in the package"


# Links


def anchors(document: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", document.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_relative_links_resolve(document: Path) -> None:
    prose = re.sub(r"^```.*?^```", "", document.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", prose):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (document.parent / path).resolve() if path else document
        if not file.exists() or not file.is_relative_to(ROOT):
            broken.append(f"{target}: there is no such file")
        elif anchor and anchor not in anchors(file):
            broken.append(f"{target}: there is no such heading")
    assert not broken, "\n".join(broken)


def test_documents_that_sources_name_exist() -> None:
    sources = [
        path
        for folder in ("tina_framework", "benchmarks", "plugins", "examples", "tests")
        for suffix in ("py", "sh", "toml", "txt")
        for path in (ROOT / folder).rglob(f"*.{suffix}")
    ]
    named = {
        (path.relative_to(ROOT).as_posix(), document)
        for path in sources
        for document in re.findall(r"\bdocs/[\w/-]+\.md\b", path.read_text(encoding="utf-8"))
    }
    assert len(named) >= 10
    assert sorted(f"{path}: {document}" for path, document in named if not (ROOT / document).is_file()) == []


def test_every_document_is_in_the_index() -> None:
    index = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    linked = {(ROOT / "docs" / target.partition("#")[0]).resolve() for target in re.findall(r"\]\(([^)\s]+)\)", index)}
    documents = [path for suffix in ("md", "rst", "ipynb") for path in (ROOT / "docs").rglob(f"*.{suffix}")]
    missing = [path for path in documents if path.name != "index.md" and path.resolve() not in linked]
    assert [path.relative_to(ROOT).as_posix() for path in missing] == []


def test_no_document_names_a_place_on_somebodys_machine() -> None:
    pattern = re.compile(r"(?<![\w.~])/(?:home|root|tmp|work|Users)/")
    found = [
        f"{document.relative_to(ROOT)}:{number}"
        for document in DOCUMENTS
        for number, line in enumerate(document.read_text(encoding="utf-8").splitlines(), start=1)
        if pattern.search(line)
    ]
    assert found == []
