"""Fetching generator folders from the Hub, and uploading them."""

from __future__ import annotations

import re
from pathlib import Path

from tina_framework.errors import DownloadError

__all__ = ["commit_of", "download", "upload"]


def download(repo: str, patterns: list[str], revision: str | None, local_files_only: bool) -> Path:
    """The files of a repository that match, in a local folder.

    Raises:
        DownloadError: they cannot be had.
    """
    from huggingface_hub import snapshot_download

    try:
        return Path(
            snapshot_download(repo, revision=revision, local_files_only=local_files_only, allow_patterns=patterns)
        )
    except Exception as error:  # the client's own errors, its transport's, and the file system's
        where = f"'{repo}'" + (f" at revision '{revision}'" if revision else "")
        if local_files_only:
            raise DownloadError(
                f"{where} is no folder here, and not among the files already downloaded ({_reason(error)}); "
                "allow a download, or check the name."
            ) from error
        raise DownloadError(
            f"{where} is no folder here, and could not be fetched from the Hub ({_reason(error)}); "
            "check the name and the connection."
        ) from error


def commit_of(folder: Path) -> str | None:
    """The commit that a downloaded folder holds, so that all its files come from one."""
    return folder.name if re.fullmatch(r"[0-9a-f]{40}", folder.name) else None


def upload(folder: Path, repo: str, *, private: bool, token: str | None) -> str:
    """Creates the repository if need be, uploads the folder; returns the commit's address.

    Raises:
        DownloadError: the Hub cannot be reached or refuses.
    """
    from huggingface_hub import HfApi

    try:
        api = HfApi(token=token)
        api.create_repo(repo, private=private, exist_ok=True)
        return str(api.upload_folder(repo_id=repo, folder_path=folder, commit_message="Upload generator"))
    except Exception as error:  # the client's own errors and its transport's
        raise DownloadError(
            f"'{repo}' could not be uploaded to the Hub ({_reason(error)}); check the name, the login and the connection."
        ) from error


def _reason(error: Exception) -> str:
    """The first line of what the client says."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0].rstrip(".")
