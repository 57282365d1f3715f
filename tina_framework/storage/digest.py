"""The digest in a settings file: it shows that a setting was changed after the file was written.

A settings file has a table ``sha256``: file name -> SHA-256. The entry under the file's own name covers the rest of the
file, without that entry. It is no signature: whoever edits the file can renew it, with `tina rehash`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tina_framework.errors import CheckpointError
from tina_framework.storage.files import read_json, to_json, write_json

__all__ = ["HASHES", "check_digest", "renew_digest", "with_digest"]

HASHES = "sha256"
"""Key of the table: file name -> SHA-256, for the file itself and for the tensor files beside it."""


def with_digest(values: Mapping[str, Any], file: str) -> dict[str, Any]:
    """Return the settings with their digest.

    Args:
        values: JSON values. A table ``sha256`` of other files may be among them.
        file: the name of the file that they are written to: ``config.json``.
    """
    # Written and read once: the digest must cover what a reader will see (lists instead of tuples, plain numbers).
    plain: dict[str, Any] = json.loads(to_json(values, indent=None))
    others = plain.get(HASHES, {})
    return {**plain, HASHES: {**others, file: _digest(plain, file, others)}}


def check_digest(values: Mapping[str, Any], path: Path) -> None:
    """Compare the settings that were read from `path` with their digest.

    Raises:
        CheckpointError: a setting was changed, or there is no digest.
    """
    recorded = values.get(HASHES)
    found = recorded.get(path.name) if isinstance(recorded, Mapping) else None
    if found != _digest(values, path.name, recorded):
        what = "has no digest" if found is None else "was changed after it was written"
        raise CheckpointError(
            f"'{path}' {what}. If you edited it and trust the contents, run `tina rehash '{path.parent}'`; "
            "otherwise restore or rebuild it."
        )


def renew_digest(path: Path) -> bool:
    """Give a settings file that was edited its digest. Return whether it had another one.

    Raises:
        CheckpointError: the file is not a JSON object, or its table ``sha256`` is not one.
        OSError: it cannot be written.
    """
    values = read_json(path)
    if not isinstance(values, Mapping) or not isinstance(values.get(HASHES, {}), Mapping):
        raise CheckpointError(f"'{path}' is not a JSON object with a table '{HASHES}' of file hashes.")
    renewed = with_digest(values, path.name)
    changed = bool(values.get(HASHES) != renewed[HASHES])
    if changed:
        write_json(path, renewed)
    return changed


def _digest(values: Mapping[str, Any], file: str, recorded: Any) -> str:
    others = {name: text for name, text in recorded.items() if name != file} if isinstance(recorded, Mapping) else {}
    rest = {**values, HASHES: others}
    canonical = json.dumps(rest, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(canonical.encode()).hexdigest()
