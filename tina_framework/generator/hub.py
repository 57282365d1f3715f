"""Download generator folders from the Hugging Face Hub, and upload them."""

from __future__ import annotations

import re
from pathlib import Path

from tina_framework.errors import ConfigError, DownloadError
from tina_framework.storage.paths import user_path

__all__ = ["commit_of", "download", "split_revision", "upload", "with_revision"]

_HUB_ID = re.compile(r"([A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)(?:@([^\s@]+))?")


def split_revision(name: str, revision: str | None = None) -> tuple[str, str | None] | None:
    """Split ``owner/name@revision``.

    Args:
        name: ``owner/name`` or ``owner/name@revision``.
        revision: branch, tag or commit that was given beside the name.

    Returns:
        The id without the revision, and the revision or None. None if `name` is no Hub id.

    Raises:
        ConfigError: the name and `revision` state different revisions.
    """
    found = _HUB_ID.fullmatch(name)
    if found is None:
        return None
    repo, own = found.groups()
    if own is not None and revision is not None and own != revision:
        raise ConfigError(
            f"'{name}' states the revision '{own}', but the revision '{revision}' is given too; give one."
        )
    return repo, revision if own is None else own


def with_revision(name: str, revision: str | None) -> str:
    """Return ``owner/name@revision``, or `name` if `revision` is None.

    Raises:
        ConfigError: `name` is a folder or no Hub id, or states another revision.
    """
    if revision is None:
        return name
    parts = split_revision(name, revision)
    if parts is None or not revision.strip() or user_path(name).is_dir():
        raise ConfigError(
            f"The revision '{revision}' cannot be used with '{name}': only generators of the Hub (owner/name) have revisions. "
            "Leave it out."
        )
    return f"{parts[0]}@{parts[1]}"


def download(repo: str, patterns: list[str], revision: str | None, local_files_only: bool) -> Path:
    """Download the files of a repository that match `patterns`, and return the local folder.

    Args:
        repo: ``owner/name``.
        patterns: such as ``*.json``.
        revision: branch, tag or commit; None: the newest commit.
        local_files_only: use only what was downloaded before.

    Raises:
        DownloadError: the repository cannot be downloaded, or was not downloaded before.
    """
    from huggingface_hub import snapshot_download

    try:
        return Path(
            snapshot_download(repo, revision=revision, local_files_only=local_files_only, allow_patterns=patterns)
        )
    # The client raises its own errors, those of its HTTP library, and OSError.
    except Exception as error:
        where = f"'{repo}'" + (f" at revision '{revision}'" if revision else "")
        if local_files_only:
            raise DownloadError(
                f"{where} is not a folder, and was not downloaded before ({_reason(error)}); "
                "allow a download, or check the name."
            ) from error
        raise DownloadError(
            f"{where} is not a folder, and could not be downloaded from the Hub ({_reason(error)}); "
            "check the name and the connection."
        ) from error


def commit_of(folder: Path) -> str | None:
    """Return the commit that a downloaded folder holds, or None. It pins later downloads to the same commit."""
    return folder.name if re.fullmatch(r"[0-9a-f]{40}", folder.name) else None


def upload(folder: Path, repo: str, *, private: bool, token: str | None) -> str:
    """Upload a folder, and return the address of the commit. The repository is created if it does not exist.

    Raises:
        DownloadError: the Hub cannot be reached or refuses.
    """
    from huggingface_hub import HfApi

    try:
        api = HfApi(token=token)
        api.create_repo(repo, private=private, exist_ok=True)
        return str(api.upload_folder(repo_id=repo, folder_path=folder, commit_message="Upload generator"))
    # The client raises its own errors and those of its HTTP library.
    except Exception as error:
        raise DownloadError(
            f"'{repo}' could not be uploaded to the Hub ({_reason(error)}); check the name, the login and the connection."
        ) from error


def _reason(error: Exception) -> str:
    """The first line of an error's message."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0].rstrip(".")
