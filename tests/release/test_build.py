"""What releases are made of: the long description, the settings of a release, and the files of a public forge."""

from __future__ import annotations

import re
import runpy
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
BUILD = runpy.run_path(str(ROOT / "release" / "build.py"))
DISTRIBUTIONS = [ROOT, *sorted(path.parent for path in ROOT.glob("plugins/*/pyproject.toml"))]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
ADDRESS = "https://forge.example/owner/name"
README = """# Title

[guide](docs/a-guide.txt#part) and [below](#title), [a [nested] text](../x.md), [elsewhere](https://example.org/a)
![A picture](docs/a.png)

```python
table[0](docs/a.png)
```
"""


def describe(repository: str, folder: str = "") -> str:
    return str(BUILD["long_description"](README, folder, repository, "1.2.3"))


def test_relative_links_become_absolute() -> None:
    text = describe(ADDRESS + "/", "plugins/p")
    files = f"{ADDRESS}/blob/v1.2.3/plugins"
    assert f"[guide]({files}/p/docs/a-guide.txt#part)" in text
    assert f"[below]({files}/p/README.md#title)" in text
    assert f"[a [nested] text]({files}/x.md)" in text
    assert f"![A picture]({ADDRESS}/raw/v1.2.3/plugins/p/docs/a.png)" in text
    assert "[elsewhere](https://example.org/a)" in text
    assert "table[0](docs/a.png)" in text, "code is no link"


def test_without_an_address_they_become_text() -> None:
    text = describe("")
    assert "guide and below, a [nested] text, [elsewhere](https://example.org/a)\nA picture\n" in text
    assert "table[0](docs/a.png)" in text


@pytest.mark.parametrize("folder", DISTRIBUTIONS, ids=lambda path: path.name)
@pytest.mark.parametrize("repository", ["", ADDRESS])
def test_no_description_has_a_relative_link(folder: Path, repository: str) -> None:
    place = "" if folder == ROOT else folder.relative_to(ROOT).as_posix()
    readme = (folder / "README.md").read_text(encoding="utf-8")
    text = BUILD["long_description"](readme, place, repository, "1.2.3")
    prose = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    assert re.findall(r"\]\((?!https?:|mailto:)[^)]*\)", prose) == []
    for path in re.findall(re.escape(ADDRESS) + r"/(?:blob|raw)/v1\.2\.3/([^)#]+)", prose):
        if not path.startswith("plugins/") or len(DISTRIBUTIONS) > 1:
            assert (ROOT / path).exists(), path


@pytest.mark.parametrize("folder", DISTRIBUTIONS, ids=lambda path: path.name)
def test_a_release_has_addresses_if_the_owner_gave_one(folder: Path) -> None:
    text = (folder / "pyproject.toml").read_text(encoding="utf-8")
    # If this test runs from an sdist, its settings are those of a release.
    text = text.replace(BUILD["DESCRIPTION"], "README.md").partition("\n[project.urls]\n")[0]
    assert "urls" not in tomllib.loads(BUILD["release_settings"](text, ""))["project"]
    released = tomllib.loads(BUILD["release_settings"](text, ADDRESS))["project"]
    assert released["readme"] == BUILD["DESCRIPTION"]
    assert released["urls"]["Issues"] == f"{ADDRESS}/issues"
    assert all(url.startswith(ADDRESS) for url in released["urls"].values())


@pytest.mark.parametrize("folder", DISTRIBUTIONS, ids=lambda path: path.name)
def test_every_requirement_has_a_lower_bound(folder: Path) -> None:
    project = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project.get("optional-dependencies", {})
    needs = [*project["dependencies"], *(need for name in extras for need in extras[name])]
    # An extra of this repository's packages, such as tina-framework[test], comes with the bound of the package.
    assert [need for need in needs if not re.match(r"tina-[a-z-]+\[", need) and not re.search("[>=]=", need)] == []


def test_the_citation_names_this_version() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == PROJECT["version"]
    assert citation["license"] == PROJECT["license"]


def test_the_forge_tests_every_python_that_the_package_names() -> None:
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "checks.yml").read_text(encoding="utf-8"))
    named = [
        c.rpartition(" ")[2] for c in PROJECT["classifiers"] if c.startswith("Programming Language :: Python :: 3.")
    ]
    assert workflow["jobs"]["quick"]["strategy"]["matrix"]["python"] == named
    assert PROJECT["requires-python"] == f">={named[0]}"
    assert {"run": ".ci/run"} in workflow["jobs"]["all"]["steps"]
    assert (ROOT / ".ci" / "run").is_file()
    for form in (ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"):
        assert yaml.safe_load(form.read_text(encoding="utf-8"))
