"""Build the sdist and the wheel of the package and of each plugin. `make package` runs this.

Each distribution is built from a copy of its tracked files, in which two things differ from the repository:

- The long description is the README with absolute links, because PyPI cannot follow relative ones. While `repository` in the table
  `tool.tina-framework` of pyproject.toml is empty, links become plain text.
- `project.urls` holds the addresses of the repository, the documents, the issues and the changelog, if `repository` is set.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path, PurePosixPath
from posixpath import normpath

ROOT = Path(__file__).resolve().parent.parent
DESCRIPTION = "PYPI.md"
_FENCE = re.compile(r"^(```.*?^```$)", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)\s]+)\)")


def long_description(readme: str, folder: str, repository: str, version: str) -> str:
    """Return the text of a README without relative links.

    Args:
        readme: Markdown.
        folder: folder of the README in the repository, with slashes; empty for the root.
        repository: address of the repository, or empty. Files are found at ``blob/`` and ``raw/``, as on GitHub and GitLab.
        version: the links point to the tag ``v{version}``, so that later changes do not break them.
    """

    def absolute(match: re.Match[str]) -> str:
        image, text, target = match.groups()
        if re.match(r"[a-z]+:", target):
            return match[0]
        if not repository:
            return text
        path, _, anchor = target.partition("#")
        file = normpath(str(PurePosixPath(folder, path or "README.md")))
        address = f"{repository.rstrip('/')}/{'raw' if image else 'blob'}/v{version}/{file}"
        return f"{image}[{text}]({address}{'#' + anchor if anchor else ''})"

    parts = _FENCE.split(readme)
    return "".join(part if part.startswith("```") else _LINK.sub(absolute, part) for part in parts)


def release_settings(pyproject: str, repository: str) -> str:
    """Return the text of a pyproject.toml for a release: the other description, and the addresses of the project."""
    changed = pyproject.replace('readme = "README.md"', f'readme = "{DESCRIPTION}"', 1)
    assert changed != pyproject, "pyproject.toml has no line 'readme = \"README.md\"'"
    if not repository:
        return changed
    address = repository.rstrip("/")
    urls = {
        "Repository": address,
        "Documentation": f"{address}/blob/main/docs/index.md",
        "Issues": f"{address}/issues",
        "Changelog": f"{address}/blob/main/CHANGELOG.md",
    }
    return changed + "\n[project.urls]\n" + "".join(f'{name} = "{url}"\n' for name, url in urls.items())


def copy_tracked(folder: Path, target: Path, without: str = "") -> None:
    """Copy the files of a folder that git tracks and that exist. Those under `without` are left out."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=folder, capture_output=True, text=True, check=True).stdout
    for name in filter(None, listed.split("\0")):
        if (without and name.startswith(without)) or not (folder / name).is_file():
            continue
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(folder / name, target / name)


def build(folder: Path, out: Path, repository: str) -> None:
    """Build the distribution in a folder of the repository: the sdist, and the wheel from this sdist."""
    with tempfile.TemporaryDirectory() as temporary:
        copy = Path(temporary) / "source"
        copy_tracked(folder, copy, without="plugins/" if folder == ROOT else "")
        settings = (copy / "pyproject.toml").read_text(encoding="utf-8")
        version = tomllib.loads(settings)["project"]["version"]
        place = "" if folder == ROOT else folder.relative_to(ROOT).as_posix()
        readme = (copy / "README.md").read_text(encoding="utf-8")
        description = long_description(readme, place, repository, version)
        (copy / DESCRIPTION).write_text(description, encoding="utf-8")
        (copy / "pyproject.toml").write_text(release_settings(settings, repository), encoding="utf-8")
        # Without isolation: an isolated build would download its backend for each distribution.
        command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(copy)]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        if done.returncode:
            sys.exit(f"{folder.name} cannot be built:\n{done.stdout[-4000:]}")


def main(out: Path) -> None:
    repository = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["tina-framework"][
        "repository"
    ]
    shutil.rmtree(out, ignore_errors=True)
    for folder in (ROOT, *sorted(path.parent for path in ROOT.glob("plugins/*/pyproject.toml"))):
        build(folder, out, repository)
    for path in sorted(out.iterdir()):
        print(f"{path.stat().st_size / 1e6:6.1f} MB  {path.name}")


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
