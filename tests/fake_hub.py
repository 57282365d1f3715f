"""A Hugging Face Hub on the loopback, with what the client asks for when models are pushed and pulled.

Repositories, branches, pull requests, commits, downloads by range, private and gated repositories, and two tokens.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

WRITER, READER = "hf_writer", "hf_reader"
ATTRIBUTES = b"*.safetensors filter=lfs diff=lfs merge=lfs -text\n"


class FakeHub(ThreadingHTTPServer):
    """The server. `repos` maps names to branches and tags, `commits` ids to files; `asked` lists method, path and range."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.repos: dict[str, dict[str, str]] = {}
        self.commits: dict[str, dict[str, bytes]] = {}
        self.messages: dict[str, str] = {}
        self.private: set[str] = set()
        self.gated: set[str] = set()
        self.asked: list[tuple[str, str, str | None]] = []
        self.always: tuple[int, bytes] | None = None  # this answer to every request
        self.cut: str | None = None  # the connection breaks once in the middle of a file with this ending

    def commit(self, repo: str, ref: str, files: dict[str, bytes], message: str = "") -> str:
        sha = hashlib.sha1(repr((repo, ref, len(self.commits))).encode()).hexdigest()
        self.commits[sha], self.messages[sha] = files, message
        self.repos.setdefault(repo, {})[ref] = sha
        return sha

    def files(self, repo: str, ref: str = "main") -> dict[str, bytes]:
        return self.commits[self.repos[repo][ref]]

    def __enter__(self) -> FakeHub:
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self.shutdown()
        self.server_close()


class _Refused(Exception):
    pass


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FakeHub

    def log_message(self, *arguments: object) -> None:
        pass

    def _answer(self, value: Any, status: int = 200, **headers: str) -> None:
        data = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.send_response(status)
        for name, text in {"Content-Length": str(len(data)), **headers}.items():
            self.send_header(name.replace("_", "-"), text)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def _refuse(self, status: int, code: str, message: str = "refused") -> None:
        self._answer({"error": message}, status, X_Error_Code=code, X_Error_Message=message)
        raise _Refused

    def _files(self, repo: str, revision: str) -> tuple[str, dict[str, bytes]]:
        hub, token = self.server, self.headers.get("Authorization", "")
        if repo not in hub.repos or (repo in hub.private and not token.endswith((WRITER, READER))):
            self._refuse(404 if token else 401, "RepoNotFound", "Repository not found")
        sha = hub.repos[repo].get(unquote(revision), unquote(revision))
        if sha not in hub.commits:
            self._refuse(404, "RevisionNotFound")
        return sha, hub.commits[sha]

    def _route(self) -> None:
        path, size = urlsplit(self.path).path, int(self.headers.get("Content-Length") or 0)
        self.server.asked.append((self.command, path, self.headers.get("Range")))
        body = self._chunks() if self.headers.get("Transfer-Encoding") == "chunked" else self.rfile.read(size)
        if self.server.always is not None:
            self._answer(self.server.always[1], self.server.always[0])
            return
        try:
            for name in [name for name in dir(self) if name.startswith("_on_")]:
                if (found := re.fullmatch(getattr(self, name).__doc__, f"{self.command} {path}")) is not None:
                    getattr(self, name)(body, *found.groups())
                    return
            self._refuse(404, "EntryNotFound")
        except _Refused:
            pass

    do_GET = do_HEAD = do_POST = _route

    def _chunks(self) -> bytes:
        parts = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _writer(self) -> None:
        token = self.headers.get("Authorization", "")
        if not token.endswith(WRITER):
            self._refuse(403 if token.endswith(READER) else 401, "", "Invalid username or password.")

    def _on_create(self, body: bytes) -> None:
        r"""POST /api/repos/create"""
        self._writer()
        asked = json.loads(body)
        repo = f"{asked['organization'] or 'me'}/{asked['name']}"
        answer = {"url": f"{self.server.url}/{repo}", "id": repo}
        if repo in self.server.repos:
            self._answer(answer, 409)
            return
        if asked.get("visibility") == "private" or asked.get("private"):
            self.server.private.add(repo)
        self.server.commit(repo, "main", {".gitattributes": ATTRIBUTES}, "initial commit")
        self._answer(answer)

    def _on_branch(self, body: bytes, repo: str, branch: str) -> None:
        r"""POST /api/models/([^/]+/[^/]+)/branch/(.+)"""
        self._writer()
        refs = self.server.repos[repo]
        if unquote(branch) in refs:
            self._refuse(409, "", "Reference already exists")
        refs[unquote(branch)] = refs["main"]
        self._answer({})

    def _on_yaml(self, body: bytes) -> None:
        r"""POST /api/validate-yaml"""
        import yaml

        _, *parts = json.loads(body)["content"].split("---\n")
        valid = not parts or isinstance(yaml.safe_load(parts[0]), dict)
        self._answer({"errors": [] if valid else [{"message": "no table"}], "warnings": []}, 200 if valid else 400)

    def _on_preupload(self, body: bytes, repo: str, revision: str) -> None:
        r"""POST /api/models/([^/]+/[^/]+)/preupload/(.+)"""
        self._writer()
        self._files(repo, revision)
        paths = [file["path"] for file in json.loads(body)["files"]]
        # Large files go to a storage service on the real Hub ("lfs"). This one takes all of them in the commit.
        self._answer({"files": [{"path": path, "uploadMode": "regular", "shouldIgnore": False} for path in paths]})

    def _on_commit(self, body: bytes, repo: str, revision: str) -> None:
        r"""POST /api/models/([^/]+/[^/]+)/commit/(.+)"""
        self._writer()
        files, message, ref = dict(self._files(repo, revision)[1]), "", unquote(revision)
        for line in map(json.loads, body.splitlines()):
            value = line["value"]
            if line["key"] == "header":
                message = value["summary"]
            elif line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            else:
                del files[value["path"]]
        address = self.server.url
        pull = "create_pr=1" in self.path
        if pull:
            ref = f"refs/pr/{1 + sum(name.startswith('refs/pr') for name in self.server.repos[repo])}"
        sha = self.server.commit(repo, ref, files, message)
        discussion = {"pullRequestUrl": f"{address}/{repo}/discussions/{ref[8:]}"} if pull else {}
        self._answer({"commitUrl": f"{address}/{repo}/commit/{sha}", "commitOid": sha, **discussion})

    def _on_info(self, body: bytes, repo: str, revision: str | None) -> None:
        r"""GET /api/models/([^/]+/[^/]+)(?:/revision/(.+))?"""
        sha, files = self._files(repo, revision or "main")
        self._answer({"id": repo, "sha": sha, "siblings": [{"rfilename": name} for name in files]})

    def _on_tree(self, body: bytes, repo: str, revision: str) -> None:
        r"""GET /api/models/([^/]+/[^/]+)/tree/(.+)"""
        files = self._files(repo, revision)[1]
        self._answer([{"type": "file", "path": n, "size": len(d), "oid": _etag(d)} for n, d in files.items()])

    def _on_resolve(self, body: bytes, repo: str, revision: str, name: str) -> None:
        r"""(?:GET|HEAD) /([^/]+/[^/]+)/resolve/([^/]+)/(.+)"""
        sha, files = self._files(repo, revision)
        if repo in self.server.gated:
            self._refuse(403, "GatedRepo")
        if name not in files:
            self._refuse(404, "EntryNotFound")
        data, headers = files[name], {"ETag": f'"{_etag(files[name])}"', "X_Repo_Commit": sha, "Accept_Ranges": "bytes"}
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "")
        if asked is not None:
            first, last = int(asked[1]), int(asked[2] or len(data) - 1)
            headers["Content_Range"] = f"bytes {first}-{last}/{len(data)}"
            self._answer(data[first : last + 1], 206, **headers)
        elif self.command == "GET" and self.server.cut and name.endswith(self.server.cut):
            self.server.cut = None
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data[: len(data) // 2])
            self.close_connection = True
        else:
            self._answer(data, **headers)


def _etag(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
