"""Download model folders from the Hugging Face Hub, and upload them."""

from __future__ import annotations

import errno
import json
import os
import re
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tina_framework.errors import ConfigError, DownloadError, shorten
from tina_framework.storage.card import CARD, was_edited
from tina_framework.storage.folders import CONFIG
from tina_framework.storage.paths import user_path

if TYPE_CHECKING:
    from huggingface_hub import HfApi

__all__ = ["HubAccess", "check_repo_id", "download_model", "split_revision", "upload", "with_revision"]

_HUB_ID = re.compile(r"([A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)(?:@([^\s@]+))?")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_TOKEN = re.compile(r"[!-~]+")
_PATTERNS = ["*.json", "*.safetensors", "*.md"]
_WEIGHT_FILES = (".safetensors", ".safetensors.index.json")
_LOG_IN = "log in with `hf auth login`, or give a token"


@dataclass(frozen=True)
class HubAccess:
    """How the Hub is read.

    Attributes:
        token: an access token; None: the one of `hf auth login` or of the environment variable ``HF_TOKEN``.
        cache_dir: folder of downloads; None: the Hub client's own.
        local_files_only: do not ask the Hub; use what was downloaded before.

    Raises:
        ConfigError: the token is not one.
    """

    token: str | None = None
    cache_dir: str | Path | None = None
    local_files_only: bool = False

    def __post_init__(self) -> None:
        _check_token(self.token)


def check_repo_id(repo: str) -> None:
    """Check that the name of a repository to write to is a text. The client checks which text.

    Raises:
        ConfigError: it is something else.
    """
    if not isinstance(repo, str):
        raise ConfigError(f"The repository is {shorten(repo)}; give its name as a text, 'owner/name'.")


def _check_token(token: object) -> None:
    """Refuse what cannot be a token. The client's own message would show it."""
    # The client takes booleans, too: False sends no token.
    if token is not None and not isinstance(token, bool) and not (isinstance(token, str) and _TOKEN.fullmatch(token)):
        raise ConfigError("The token is empty, or has spaces, line breaks or letters beyond ASCII; copy it again.")


def split_revision(name: str, revision: str | None = None) -> tuple[str, str | None] | None:
    """Split ``owner/name@revision``.

    Args:
        name: ``owner/name`` or ``owner/name@revision``.
        revision: branch, tag or commit that was given beside the name.

    Returns:
        The id without the revision, and the revision or None. None if `name` is no Hub id.

    Raises:
        ConfigError: the name and `revision` state different revisions, or the revision is not one.
    """
    found = _HUB_ID.fullmatch(name)
    if found is None:
        return None
    repo, own = found.groups()
    if revision is not None and not (isinstance(revision, str) and revision.strip()):
        raise ConfigError(
            f"The revision of '{repo}' is {shorten(revision)}; give a branch, a tag or a commit, or leave it out."
        )
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
            f"The revision '{revision}' cannot be used with '{name}': only models on the Hub (owner/name) have revisions. "
            "Leave it out."
        )
    return f"{parts[0]}@{parts[1]}"


def download_model(repo: str, revision: str | None, check: Callable[[Path], Any], access: HubAccess) -> Path:
    """Download a model, and return the local folder.

    Args:
        repo: ``owner/name``.
        revision: branch, tag or commit; None: the newest commit.
        check: takes a folder with `config.json` alone, and raises an error if it is no model of the right format.
        access: how the Hub is read.

    Raises:
        DownloadError: the repository cannot be downloaded, or was not downloaded before.
    """
    # The configuration first: another kind of repository is refused before its weights are downloaded.
    folder = _download(repo, [CONFIG], revision, access)
    check(folder)
    # Pinned to the commit, so that configuration and weights belong together.
    commit = folder.name if _COMMIT.fullmatch(folder.name) else revision
    return _download(repo, _PATTERNS, commit, access)


def _download(repo: str, patterns: list[str], revision: str | None, access: HubAccess) -> Path:
    from huggingface_hub import snapshot_download

    try:
        return Path(
            snapshot_download(
                repo,
                revision=revision,
                allow_patterns=patterns,
                token=access.token,
                cache_dir=access.cache_dir,
                local_files_only=access.local_files_only,
                endpoint=_endpoint(),
            )
        )
    # The client raises its own errors, those of its HTTP library, and OSError.
    except Exception as error:
        where = f"'{repo}'" + (f" at revision '{revision}'" if revision else "")
        raise DownloadError(f"{where} is not a folder, and {_why_not_read(error, access)}.") from error


def upload(
    folder: Path,
    repo: str,
    *,
    token: str | None = None,
    private: bool | None = None,
    commit_message: str | None = None,
    revision: str | None = None,
    create_pr: bool = False,
) -> str:
    """Upload a model folder as one commit, and return the address of the commit or of the pull request.

    The repository is created if it does not exist. Weights that the folder lacks are removed from it. A model card that
    somebody edited there is kept, unless the card in the folder was written by hand.

    Args:
        folder: the model folder.
        repo: ``owner/name``, or ``name`` for a repository of the owner of the token.
        token: an access token that may write; None: the one of `hf auth login` or of the environment variable ``HF_TOKEN``.
        private: whether a new repository is private; None: as the owner's settings say.
        commit_message: None: "Upload the model".
        revision: the branch to commit to, which is created if it does not exist; None: ``main``.
        create_pr: open a pull request in place of committing.

    Raises:
        ConfigError: the name or the token is not valid, or a pull request is asked for, and another branch than ``main``.
        DownloadError: the Hub cannot be reached or refuses.
    """
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi

    check_repo_id(repo)
    _check_token(token)
    if create_pr and revision not in (None, "main"):
        raise ConfigError(
            f"A pull request is opened against the branch 'main', but the revision '{revision}' is given too; give one."
        )
    try:
        api = HfApi(endpoint=_endpoint(), token=token)
        repo = api.create_repo(repo, private=private, exist_ok=True).repo_id
        if revision is not None and not revision.startswith("refs/"):
            api.create_branch(repo, branch=revision, exist_ok=True)
        there = set(api.list_repo_files(repo, revision=revision))
        files = {path.name: path for path in sorted(folder.iterdir())}
        # A trunk or shards of an earlier upload would not fit the new configuration.
        stale = sorted(name for name in there - files.keys() if name.endswith(_WEIGHT_FILES) and "/" not in name)
        if CARD in there and _keeps_card(api, repo, revision, folder):
            del files[CARD]
        # In one commit, so that configuration and weights belong together (`upload_folder` may make several).
        commit = api.create_commit(
            repo,
            [
                *(CommitOperationAdd(name, path) for name, path in files.items()),
                *(CommitOperationDelete(name, is_folder=False) for name in stale),
            ],
            commit_message=commit_message or "Upload the model",
            revision=revision,
            create_pr=create_pr,
        )
        return str(commit.pr_url or commit.commit_url)
    # The client raises its own errors and those of its HTTP library.
    except Exception as error:
        raise DownloadError(f"'{repo}' could not be uploaded to the Hub: {_why_not_written(error)}.") from error


def _keeps_card(api: HfApi, repo: str, revision: str | None, folder: Path) -> bool:
    """Return whether the repository has a card that somebody edited, and the folder one that this program wrote."""
    if was_edited(folder / CARD):
        return False
    with tempfile.TemporaryDirectory() as place:
        return was_edited(Path(api.hf_hub_download(repo, CARD, revision=revision, local_dir=place)))


def _endpoint() -> str | None:
    """Return the address of the Hub from the environment, or None for the client's default."""
    # The client reads the variable once, when it is imported; a notebook may set it later.
    return os.environ.get("HF_ENDPOINT", "").rstrip("/") or None


def _why_not_read(error: Exception, access: HubAccess) -> str:
    """Say why a download failed, and what to do."""
    from huggingface_hub import errors

    if isinstance(error, errors.GatedRepoError):
        return f"the Hub gives it only to people who have asked for access. Ask for it on its page, and {_LOG_IN}"
    if isinstance(error, errors.RevisionNotFoundError):
        return "its repository on the Hub has no such revision. Give a branch, a tag or a commit"
    if isinstance(error, errors.RepositoryNotFoundError):
        return f"the Hub has no repository of that name that you may read. Check the name. If it is private, {_LOG_IN}"
    if _status(error) in (401, 403):
        return f"the Hub refuses to show it ({_reason(error)}). Check the rights of the token, or {_LOG_IN}"
    if access.local_files_only or errors.OfflineModeIsEnabled in _kinds(error):
        return (
            "it was not downloaded before, and downloads are switched off (local_files_only or HF_HUB_OFFLINE). "
            "Allow a download, or check the name"
        )
    if _is_of_this_machine(error):
        return f"it could not be written to the folder of downloads ({_reason(error)}). Check that folder"
    return f"it could not be downloaded from the Hub ({_reason(error)}). {_advice(error)}"


def _why_not_written(error: Exception) -> str:
    """Say why an upload failed, and what to do."""
    from huggingface_hub import errors

    status = _status(error)
    if isinstance(error, errors.HFValidationError):
        return f"it is not a valid name ({_reason(error)}). Give 'owner/name'"
    if isinstance(error, errors.LocalTokenNotFoundError) or status == 401:
        return f"the Hub does not know who you are. To write, {_LOG_IN}"
    if status == 403:
        return "the token may not write there. Give a token with the right to write, and check the owner's name"
    if errors.OfflineModeIsEnabled in _kinds(error):
        return "the environment variable HF_HUB_OFFLINE switches the network off. Unset it"
    return f"{_reason(error)}. {_advice(error)}"


def _advice(error: Exception) -> str:
    status = _status(error)
    if status is not None and (status == 429 or status >= 500):
        return "Try again later"
    return "Check HF_ENDPOINT and the connection" if _is_unreadable(error) else "Check the name and the connection"


def _is_of_this_machine(error: Exception) -> bool:
    """Return whether a file could not be written, for example because the disk is full."""
    return isinstance(error, OSError) and (error.filename is not None or error.errno in (errno.ENOSPC, errno.EDQUOT))


def _is_unreadable(error: Exception) -> bool:
    """Return whether a server answered that is no Hub: the client found no JSON, or missed a value in it."""
    return isinstance(error, (KeyError, json.JSONDecodeError))


def _status(error: Exception) -> int | None:
    """Return the status code that the Hub answered with. It may be in an error that caused this one."""
    for each in _causes(error):
        status = getattr(getattr(each, "response", None), "status_code", None)
        if isinstance(status, int):
            return status
    return None


def _kinds(error: BaseException) -> set[type[BaseException]]:
    """Return the types of an error and of those that caused it."""
    return {type(each) for each in _causes(error)}


def _causes(error: BaseException) -> list[BaseException]:
    """Return an error and those that caused it, the last one first."""
    found: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and len(found) < 10:
        found.append(cause)
        cause = cause.__cause__ or cause.__context__
    return found


def _reason(error: Exception) -> str:
    """Return the first line of an error's message that says something."""
    if _is_unreadable(error):
        return "what answers is not a Hub"
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0].rstrip(".")
