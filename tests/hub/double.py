"""A Hub on loopback for the unpatched clients (huggingface_hub, transformers, datasets) behind HF_ENDPOINT.

    with Hub() as hub:
        hub.put("model", "google-t5/t5-small", folder)
        subprocess.run([...], env=hub.env(tmp_path / "home"))
        assert hub.files("model", "tester/t5-small-finetuned-xsum")["README.md"]

It holds model, dataset and Space repositories with commits, branches and LFS files, knows users and their
rights, and can be told to fail (`Fault`). What it cannot answer gets 404 and is kept in `hub.unknown`, so a
test can assert that nothing was asked for that the double lacks.

A double encodes what the client accepts; it is not the Hub. It was written from the source of huggingface_hub
2.4 and from the requests that the clients really made, so it cannot show that the real service still behaves
like that: keep one manual check against the real one. Not here: Xet, pull requests, gated repositories,
`.gitignore` on upload, compressed answers, rate limits of its own.
"""

import base64
import binascii
import hashlib
import json
import os
import re
import secrets
import socketserver
import sys
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from fnmatch import fnmatch
from functools import cached_property
from http.server import BaseHTTPRequestHandler
from pathlib import Path, PurePosixPath
from typing import Any, Literal, NamedTuple, Self
from urllib.parse import parse_qs, quote, unquote, urlencode, urlsplit

import yaml
from huggingface_hub.repocard_data import model_index_to_eval_results

KINDS = ("model", "dataset", "space")
PREFIXES = {"model": "", "dataset": "datasets/", "space": "spaces/"}
# What the Hub's first commit of a repository tells git to keep in LFS.
_LFS_SUFFIXES = """
    7z arrow bin bz2 ckpt ftz gz h5 joblib lfs.* mlmodel model msgpack npy npz onnx ot parquet pb pickle pkl
    pt pth rar safetensors tar.* tar tflite tgz wasm xz zip zst
"""
LFS_PATTERNS = [f"*.{suffix}" for suffix in _LFS_SUFFIXES.split()] + ["*tfevents*"]
GITATTRIBUTES = "".join(f"{pattern} filter=lfs diff=lfs merge=lfs -text\n" for pattern in LFS_PATTERNS)
LARGEST_REGULAR_FILE = 5 * 1024 * 1024  # bytes; the client relies on it (`CommitOperationAdd._local_oid`)
SPACE_SDKS = ("gradio", "docker", "static")
SPACE_COLORS = ("red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray")


# ------------------------------------------------------------------------------------------ what a test holds


class _Line(NamedTuple):
    method: str
    path: str
    auth: str | None


class Request(_Line):
    """One request as it came in: (method, path with query, token or None), and besides `headers` (names in
    lower case), `status` (0 until it is answered, or when the connection was dropped first)."""

    headers: dict[str, str]
    status: int


@dataclass
class Fault:
    """Something that goes wrong `times` times (None: always) for requests of `method` ("*": any) whose path
    and query match `path_regex` (re.search; quoted or not). An LFS file's name is in the URL of its download
    too, so `r"model\\.safetensors"` meets it. Of several faults the first that matches acts.

    status: answer with it instead of doing anything; `headers` come along (`{"Retry-After": "1"}`).
    cut_after: send this many bytes of the body, then close; of an upload, read that many. Acts (and counts)
        only where the body is longer. The client writes in steps of 10 MiB: what it has of a step is lost.
    delay: seconds before anything is done. rate: bytes per second of the answer's body.
    lose: close without an answer, before ("request") or after ("reply") the request has had its effect.
    stale_parent: somebody else makes an (empty) commit just before this one, so its `parentCommit` is stale.
    """

    method: str
    path_regex: str
    status: int | None = None
    cut_after: int | None = None
    delay: float = 0.0
    headers: dict[str, str] = field(default_factory=dict)
    times: int | None = 1
    rate: int | None = None
    lose: Literal["request", "reply"] | None = None
    stale_parent: bool = False
    hits: int = 0

    def matches(self, method: str, path: str) -> bool:
        if self.times is not None and self.hits >= self.times:
            return False
        if self.method not in ("*", method):
            return False
        return any(re.search(self.path_regex, text) for text in (path, unquote(path)))


@dataclass(frozen=True)
class User:
    """A token and whose it is. `orgs` maps organisations to the role there ("read", "contributor", "write",
    "admin"); a fine-grained token may write in `scopes` only, which are namespaces or full names."""

    name: str
    token: str
    orgs: Mapping[str, str]
    can_write: bool = True
    scopes: tuple[str, ...] | None = None

    def may_read(self, namespace: str) -> bool:
        return namespace == self.name or namespace in self.orgs

    def may_write(self, repo_id: str) -> bool:
        namespace = repo_id.split("/")[0]
        in_scope = self.scopes is None or namespace in self.scopes or repo_id in self.scopes
        member = namespace == self.name or self.orgs.get(namespace, "read") != "read"
        return self.can_write and in_scope and member


@dataclass(frozen=True)
class Blob:
    """A file's content and how git keeps it."""

    data: bytes
    lfs: bool = False

    @cached_property
    def sha256(self) -> str:
        return hashlib.sha256(self.data).hexdigest()

    @cached_property
    def pointer(self) -> bytes:
        version = "version https://git-lfs.github.com/spec/v1"
        return f"{version}\noid sha256:{self.sha256}\nsize {len(self.data)}\n".encode()

    @cached_property
    def oid(self) -> str:
        """What git calls the file: the hash of its content, or of the pointer that stands for it."""
        kept = self.pointer if self.lfs else self.data
        return hashlib.sha1(b"blob %d\0" % len(kept) + kept).hexdigest()

    @property
    def etag(self) -> str:
        return self.sha256 if self.lfs else self.oid


@dataclass(frozen=True)
class Commit:
    sha: str
    parent: str | None
    message: str
    description: str
    author: str
    date: str
    files: Mapping[str, Blob]


class HubError(Exception):
    """An answer that is an error; from `code`, the X-Error-Code, the client picks its exception."""

    def __init__(self, status: int, message: str, code: str | None = None, **headers: str):
        super().__init__(message)
        self.status, self.message = status, message
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}
        if code:
            self.headers["X-Error-Code"] = code


class Repository:
    """A git-like repository: refs name commits, a commit holds all its files."""

    def __init__(self, kind: str, repo_id: str, private: bool = False, sdk: str | None = None):
        self.kind, self.id, self.private, self.sdk = kind, repo_id, private, sdk
        self.created = _now()
        self.refs: dict[str, str] = {}
        self.history: dict[str, Commit] = {}
        self.uploads: dict[str, bytes] = {}  # LFS objects by sha256, committed or not
        self.variables: dict[str, dict[str, str]] = {}
        self.secrets: dict[str, dict[str, str]] = {}
        self.restarts = 0

    @property
    def namespace(self) -> str:
        return self.id.rpartition("/")[0]

    def commit_at(self, revision: str) -> Commit:
        """The commit that a branch, a full ref or (the start of) a sha names."""
        if sha := self.refs.get(_ref(revision)):
            return self.history[sha]
        if re.fullmatch(r"[0-9a-f]{7,40}", revision):
            found = [commit for sha, commit in self.history.items() if sha.startswith(revision)]
            if len(found) == 1:
                return found[0]
        raise HubError(404, f"Invalid rev id: {revision}", "RevisionNotFound")

    def log(self, revision: str) -> list[Commit]:
        """Newest first."""
        commits = [self.commit_at(revision)]
        while commits[-1].parent:
            commits.append(self.history[commits[-1].parent])
        return commits

    def commit(
        self, revision: str, files: Mapping[str, Blob], message: str, author: str, description: str = ""
    ) -> Commit:
        """Makes `files` the whole content of the branch; a new branch begins with this commit."""
        parent = self.refs.get(_ref(revision))
        tree = "".join(f"{path} {files[path].oid}\n" for path in sorted(files))
        name = f"{parent}\n{tree}{author} {len(self.history)}\n{message}\n{description}"
        sha = hashlib.sha1(name.encode()).hexdigest()
        commit = Commit(sha, parent, message, description, author, _now(), dict(sorted(files.items())))
        self.history[sha] = commit
        self.refs[_ref(revision)] = sha
        return commit

    def stored(self, sha256: str) -> bytes | None:
        """An LFS object by its hash, uploaded for this repository and perhaps not committed yet."""
        return self.uploads.get(sha256)


class Hub:
    """The server and what it holds. Everything is thread safe; `with` starts and stops it.

    There is one user at the start, "tester" with the token "hf_test_write".
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.repos: dict[tuple[str, str], Repository] = {}
        self.users: dict[str, User] = {}
        self.faults: list[Fault] = []
        self.requests: list[Request] = []
        self.unknown: list[Request] = []
        self.crashes: list[str] = []  # tracebacks: faults of the double itself
        self.page_size = 1000  # entries of a tree or of a history in one answer
        self.signature = secrets.token_hex(8)  # stands for the signed URLs of the Hub's storage
        self.closing = threading.Event()
        self.add_user("tester", "hf_test_write")

    def __enter__(self) -> Self:
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.hub = self
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.02,), name="hub", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def storage(self) -> str:
        """Where LFS files lie: another origin, as on the Hub. On its own origin the client would follow the
        redirect of a HEAD request, and lose the headers that came with it."""
        return f"http://localhost:{self.port}/storage"

    def env(self, home: Path, token: str | None = "hf_test_write") -> dict[str, str]:
        """The environment of a subprocess that knows this Hub only: `home` is its HF_HOME (an empty folder is
        an empty cache), `token=None` logs out. Hub settings and proxies of this process are not passed on."""
        strange = re.compile(r"HF_|HUGGING|TRANSFORMERS_|DATASETS_|(HTTPS?|ALL|NO|FTP)_PROXY$", re.IGNORECASE)
        env = {name: value for name, value in os.environ.items() if not strange.match(name)}
        env |= {
            "HF_ENDPOINT": self.endpoint,
            "HF_HOME": str(home),
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "DISABLE_SAFETENSORS_CONVERSION": "1",
            "NO_PROXY": "127.0.0.1,localhost",
            # datasets asks `datasets-server.<endpoint>`, which no name server knows.
            "RES_OPTIONS": "timeout:1 attempts:1",
        }
        return env | ({"HF_TOKEN": token} if token else {})

    def add_user(
        self,
        name: str,
        token: str,
        orgs: Iterable[str] | Mapping[str, str] = (),
        can_write: bool = True,
        scopes: Iterable[str] | None = None,
    ) -> User:
        """A user, or a further token of one. `orgs` are names (role "write") or name → role;
        `can_write=False` makes a read-only token, `scopes` a fine-grained one."""
        roles = dict(orgs) if isinstance(orgs, Mapping) else dict.fromkeys(orgs, "write")
        user = User(name, token, roles, can_write, None if scopes is None else tuple(scopes))
        with self.lock:
            self.users[token] = user
        return user

    def put(
        self,
        repo_type: str,
        repo_id: str,
        files: Mapping[str, bytes | Path] | Path,
        revision: str = "main",
        private: bool = False,
        message: str = "Upload files",
    ) -> str:
        """Adds `files` (or all of a folder) to a branch in one commit and returns its sha. Repository and
        branch are made when they are missing; `private` counts for a new repository."""
        if repo_type not in KINDS:
            raise ValueError(f"repo_type is {repo_type!r}, should be one of {', '.join(KINDS)}")
        if isinstance(files, Path):
            files = {path.relative_to(files).as_posix(): path for path in files.rglob("*") if path.is_file()}
        blobs = {}
        for path, value in files.items():
            data = value.read_bytes() if isinstance(value, Path) else bytes(value)
            blobs[path] = Blob(data, _belongs_in_lfs(path, len(data), data[:512]))
        with self.lock:
            repo = self.repos.setdefault((repo_type, repo_id), Repository(repo_type, repo_id, private))
            repo.uploads |= {blob.sha256: blob.data for blob in blobs.values() if blob.lfs}
            before = repo.commit_at(revision).files if _ref(revision) in repo.refs else {}
            return repo.commit(revision, {**before, **blobs}, message, repo.namespace).sha

    def repo(self, repo_type: str, repo_id: str) -> Repository:
        """The repository; KeyError where there is none."""
        with self.lock:
            return self.repos[repo_type, repo_id]

    def files(self, repo_type: str, repo_id: str, revision: str = "main") -> dict[str, bytes]:
        """Path → content. A repository that a client made has `.gitattributes` too, from its first commit."""
        with self.lock:
            commit = self.repo(repo_type, repo_id).commit_at(revision)
            return {path: blob.data for path, blob in commit.files.items()}

    def commits(self, repo_type: str, repo_id: str, revision: str = "main") -> list[Commit]:
        """Newest first. The last one of a repository that a client has made is the Hub's "initial commit"."""
        with self.lock:
            return self.repo(repo_type, repo_id).log(revision)

    def variables(self, space_id: str) -> dict[str, str]:
        with self.lock:
            return {key: entry["value"] for key, entry in self.repo("space", space_id).variables.items()}

    def secrets(self, space_id: str) -> dict[str, str]:
        with self.lock:
            return {key: entry["value"] for key, entry in self.repo("space", space_id).secrets.items()}

    def fail(self, fault: Fault) -> Fault:
        """Adds a fault and returns it (`fault.hits` counts); `hub.faults.clear()` heals everything."""
        with self.lock:
            self.faults.append(fault)
        return fault

    def fault_for(self, method: str, path: str) -> Fault | None:
        with self.lock:
            return next((fault for fault in self.faults if fault.matches(method, path)), None)

    def spend(self, fault: Fault) -> bool:
        """Counts one use of a fault; False where another thread has had the last one."""
        with self.lock:
            if fault.times is not None and fault.hits >= fault.times:
                return False
            fault.hits += 1
            return True

    def answer(self, call: "Call") -> "Reply":
        """Finds the handler of a request in the routing table and runs it under the lock."""
        for method, pattern, handler in ROUTES:
            if method == call.method and (match := pattern.fullmatch(call.path)):
                call.match = {name: unquote(value) for name, value in match.groupdict().items() if value}
                with self.lock:
                    call.user = self._user(call)
                    return handler(self, call)
        with self.lock:
            self.unknown.append(call.request)
        raise HubError(404, f"The double knows no {call.method} {call.path}")

    def _user(self, call: "Call") -> User | None:
        token = call.request.auth
        if token is None:
            return None
        if token not in self.users:
            wrong = "Invalid credentials in Authorization header"
            raise HubError(401, wrong, X_Error_Message=wrong)
        return self.users[token]


# ------------------------------------------------------------------------------------------------- HTTP, bare


@dataclass
class Call:
    """A request on its way through a handler."""

    request: Request
    method: str
    path: str  # without query, still quoted
    query: dict[str, list[str]]
    body: bytes
    match: dict[str, str] = field(default_factory=dict)
    user: User | None = None
    fault: Fault | None = None

    def json(self) -> dict[str, Any]:
        try:
            data = json.loads(self.body or b"{}")
        except ValueError as error:
            raise HubError(400, f"The body is not JSON: {error}") from error
        if not isinstance(data, dict):
            raise HubError(400, f"The body is {type(data).__name__}, should be an object")
        return data

    def flag(self, name: str) -> bool:
        return self.query.get(name, ["false"])[0].lower() in ("1", "true")


@dataclass
class Reply:
    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


def as_json(data: Any, status: int = 200, **headers: str) -> Reply:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(status, json.dumps(data).encode(), {"Content-Type": "application/json", **names})


def content(data: bytes, call: Call, headers: dict[str, str]) -> Reply:
    """A file, or the part of it that `Range` asks for."""
    headers = {"Content-Type": "application/octet-stream", "Accept-Ranges": "bytes", **headers}
    wanted = call.request.headers.get("range")
    if wanted is None:
        return Reply(200, data, headers)
    match = re.fullmatch(r"\s*bytes\s*=\s*(\d*)\s*-\s*(\d*)\s*", wanted)
    first, last = match.groups() if match else ("", "")
    if first:
        start, end = int(first), min(int(last) + 1, len(data)) if last else len(data)
    else:
        start, end = max(len(data) - int(last or 0), 0), len(data)
    if start >= end:
        return Reply(416, b"", {"Content-Range": f"bytes */{len(data)}"})
    return Reply(206, data[start:end], headers | {"Content-Range": f"bytes {start}-{end - 1}/{len(data)}"})


class _Server(socketserver.ThreadingTCPServer):
    # Not HTTPServer, which asks a name server who it is.
    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    request_queue_size = 128
    hub: Hub

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that goes away is no fault of the double; anything else is."""
        if not isinstance(sys.exception(), ConnectionError):
            self.hub.crashes.append(traceback.format_exc())


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # headers and body are two writes: an ACK between them takes 40 ms
    server: _Server

    def do_GET(self) -> None:
        hub = self.server.hub
        if hub.closing.is_set():
            self.close_connection = True
            return
        request = self._log()
        fault = hub.fault_for(self.command, self.path)
        if fault and fault.cut_after is None and not hub.spend(fault):
            fault = None
        if fault and fault.delay:
            hub.closing.wait(fault.delay)
        body = self._read_body(fault)
        if body is None or (fault and fault.lose == "request"):
            self.close_connection = True
            return
        reply = self._reply(request, body, fault)
        if fault and fault.lose == "reply":
            self.close_connection = True
            return
        request.status = reply.status
        self._send(reply, fault)

    do_HEAD = do_POST = do_PUT = do_DELETE = do_PATCH = do_GET

    def _log(self) -> Request:
        scheme, _, token = self.headers.get("Authorization", "").partition(" ")
        request = Request(self.command, self.path, token.strip() if scheme == "Bearer" else None)
        request.headers = {name.lower(): value for name, value in self.headers.items()}
        request.status = 0
        with self.server.hub.lock:
            self.server.hub.requests.append(request)
        return request

    def _read_body(self, fault: Fault | None) -> bytes | None:
        """The request's body; None where a fault cuts the upload."""
        if "chunked" in self.headers.get("Transfer-Encoding", "").lower():
            return b"".join(self._chunks())
        size = int(self.headers.get("Content-Length", 0))
        if fault and fault.cut_after is not None and size > fault.cut_after and self.server.hub.spend(fault):
            self.rfile.read(fault.cut_after)
            return None
        return self.rfile.read(size)

    def _chunks(self) -> Iterator[bytes]:
        while size := int(self.rfile.readline().split(b";")[0], 16):
            yield self.rfile.read(size)
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass

    def _reply(self, request: Request, body: bytes, fault: Fault | None) -> Reply:
        hub, url = self.server.hub, urlsplit(self.path)
        query = parse_qs(url.query, keep_blank_values=True)
        call = Call(request, self.command, url.path, query, body, fault=fault)
        try:
            if fault and fault.status:
                raise HubError(fault.status, f"The double was told to answer {fault.status}")
            return hub.answer(call)
        except HubError as error:
            reply = as_json({"error": error.message}, error.status)
            reply.headers |= {"X-Error-Message": error.message} | error.headers
            return reply
        except Exception:
            hub.crashes.append(traceback.format_exc())
            return as_json({"error": traceback.format_exc()}, 500)

    def _send(self, reply: Reply, fault: Fault | None) -> None:
        body, hub = reply.body, self.server.hub
        cut = fault.cut_after if fault else None
        if cut is not None and self.command == "GET" and len(body) > cut and hub.spend(fault):
            body, self.close_connection = body[:cut], True
        self.send_response(reply.status)
        for name, value in (reply.headers | (fault.headers if fault else {})).items():
            # Header lines are Latin-1 and single lines; a message may be neither.
            self.send_header(name, str(value).replace("\n", " ").encode("ascii", "replace").decode())
        self.send_header("X-Request-Id", secrets.token_hex(6))
        self.send_header("Content-Length", str(len(reply.body)))
        self.end_headers()
        if self.command == "HEAD":
            return
        step = max(1, (fault.rate if fault and fault.rate else 20 << 20) // 20)
        for start in range(0, len(body), step):
            self.wfile.write(body[start : start + step])
            if fault and fault.rate and hub.closing.wait(1 / 20):
                self.close_connection = True
                return

    def log_message(self, *_: object) -> None:
        """Quiet: `hub.requests` is the log."""


# ------------------------------------------------------------------------------------- accounts, repositories


def whoami(hub: Hub, call: Call) -> Reply:
    user = _logged_in(call)
    access: dict[str, Any] = {"displayName": "test", "role": "write" if user.can_write else "read"}
    if user.scopes is not None:
        may = ["repo.content.read", "repo.write"]
        scoped = [{"entity": _entity(user, scope), "permissions": may} for scope in user.scopes]
        access |= {"role": "fineGrained", "fineGrained": {"global": [], "scoped": scoped}}
    orgs = [{"type": "org", "name": org, "roleInOrg": role} for org, role in user.orgs.items()]
    person = {"type": "user", "name": user.name, "fullname": user.name, "isPro": False, "orgs": orgs}
    return as_json(person | {"id": _id(user.name), "auth": {"type": "access_token", "accessToken": access}})


def _entity(user: User, scope: str) -> dict[str, str]:
    kind = "model" if "/" in scope else "org" if scope in user.orgs else "user"
    return {"type": kind, "name": scope}


def create_repo(hub: Hub, call: Call) -> Reply:
    user, wish = _logged_in(call), call.json()
    kind, name = wish.get("type") or "model", wish.get("name") or ""
    namespace = wish.get("organization") or user.name
    if kind not in KINDS:
        raise HubError(400, f"type is {kind!r}, should be one of {', '.join(KINDS)}")
    if not re.fullmatch(r"[A-Za-z0-9_.-]{1,96}", name) or name.startswith((".", "-")) or ".." in name:
        raise HubError(400, f"Invalid repo name: {name}")
    repo_id = f"{namespace}/{name}"
    if not user.may_write(repo_id):
        raise HubError(403, f"You don't have the rights to create a {kind} under the namespace {namespace!r}")
    url = f"{hub.endpoint}/{PREFIXES[kind]}{repo_id}"
    if (kind, repo_id) in hub.repos:
        return as_json({"error": f"You already created this {kind} repo: {repo_id}", "url": url}, 409)
    if kind == "space" and wish.get("sdk") not in SPACE_SDKS:
        raise HubError(400, f"sdk is {wish.get('sdk')!r}, should be one of {', '.join(SPACE_SDKS)}")
    private = wish.get("visibility") == "private" or wish.get("private") is True
    repo = hub.repos[kind, repo_id] = Repository(kind, repo_id, private, wish.get("sdk"))
    for wanted, store in ((wish.get("variables"), repo.variables), (wish.get("secrets"), repo.secrets)):
        for entry in wanted or ():
            store[entry["key"]] = _entry(entry)
    repo.commit("main", {".gitattributes": Blob(GITATTRIBUTES.encode())}, "initial commit", user.name)
    return as_json({"url": url, "name": repo_id, "id": repo_id})


def delete_repo(hub: Hub, call: Call) -> Reply:
    user, wish = _logged_in(call), call.json()
    key = wish.get("type") or "model", f"{wish.get('organization') or user.name}/{wish.get('name')}"
    call.match = {"kinds": key[0] + "s", "id": key[1]}
    _writable(hub, call)
    del hub.repos[key]
    return as_json({})


def change_settings(hub: Hub, call: Call) -> Reply:
    repo, wish = _writable(hub, call), call.json()
    if "visibility" in wish:
        repo.private = wish["visibility"] == "private"
    return as_json({"private": repo.private})


def check_read(hub: Hub, call: Call) -> Reply:
    _readable(hub, call)
    return as_json({})


def check_write(hub: Hub, call: Call) -> Reply:
    _writable(hub, call)
    return as_json({})


def info(hub: Hub, call: Call) -> Reply:
    """model_info, dataset_info, space_info."""
    repo = _readable(hub, call)
    at = repo.commit_at(call.match.get("rev", "main"))
    card = _front_matter(at.files.get("README.md"))
    siblings = [{"rfilename": path} for path in at.files]
    if call.flag("blobs"):
        siblings = [_sibling(path, blob) for path, blob in at.files.items()]
    data = {
        "author": repo.namespace,
        "sha": at.sha,
        "createdAt": repo.created,
        "lastModified": at.date,
        "private": repo.private,
        "gated": False,
        "disabled": False,
        "downloads": 0,
        "likes": 0,
        "tags": [str(tag) for tag in card.get("tags") or []],
        "cardData": {name: value for name, value in card.items() if name != "model-index"},
        "usedStorage": sum(len(blob.data) for blob in at.files.values()),
        "siblings": siblings,
    }
    if repo.kind == "model":
        data |= {"library_name": card.get("library_name"), "pipeline_tag": card.get("pipeline_tag")}
        data["model-index"] = card.get("model-index")
    if repo.kind == "space":
        data |= {"sdk": repo.sdk or card.get("sdk"), "runtime": _runtime(repo)}
        data |= {"models": card.get("models") or [], "datasets": card.get("datasets") or []}
    if wanted := call.query.get("expand") or call.query.get("expand[]"):
        data = {name: data[name] for name in wanted if name in data}
    return as_json({"_id": _id(repo.id), "id": repo.id, **data})


def refs(hub: Hub, call: Call) -> Reply:
    repo = _readable(hub, call)

    def under(prefix: str) -> list[dict[str, str]]:
        found = ((ref, sha) for ref, sha in repo.refs.items() if ref.startswith(prefix))
        return [{"name": ref.removeprefix(prefix), "ref": ref, "targetCommit": sha} for ref, sha in found]

    groups = {"branches": "heads", "converts": "convert", "tags": "tags", "pullRequests": "pr"}
    return as_json({name: under(f"refs/{group}/") for name, group in groups.items()})


def create_branch(hub: Hub, call: Call) -> Reply:
    repo = _writable(hub, call)
    ref = _ref(call.match["branch"])
    if ref in repo.refs:
        raise HubError(409, f"Reference already exists: {ref}")
    repo.refs[ref] = repo.commit_at(call.json().get("startingPoint") or "main").sha
    return as_json({})


def commits(hub: Hub, call: Call) -> Reply:
    log = _readable(hub, call).log(call.match["rev"])
    return _page(hub, call, [_describe(item) for item in log])


def tree(hub: Hub, call: Call) -> Reply:
    """list_repo_tree, list_repo_files."""
    at = _readable(hub, call).commit_at(call.match["rev"])
    root = call.match.get("path", "")
    entries = _entries(at)
    below = {path: entry for path, entry in entries.items() if not root or path.startswith(root + "/")}
    if root and not below:
        raise _no_entry(at, root)
    if not call.flag("recursive"):
        above = PurePosixPath(root)
        below = {path: entry for path, entry in below.items() if PurePosixPath(path).parent == above}
    if call.flag("expand"):
        last = {"id": at.sha, "title": at.message, "date": at.date}
        below = {path: entry | {"lastCommit": last} for path, entry in below.items()}
    return _page(hub, call, list(below.values()))


def paths_info(hub: Hub, call: Call) -> Reply:
    entries = _entries(_readable(hub, call).commit_at(call.match["rev"]))
    wanted = parse_qs(call.body.decode()).get("paths", [])
    return as_json([entries[path.rstrip("/")] for path in wanted if path.rstrip("/") in entries])


# --------------------------------------------------------------------------------------------------- download


def resolve(hub: Hub, call: Call) -> Reply:
    """A file at a revision; for an LFS file a redirect to the storage, with hash and size in the headers."""
    repo = _readable(hub, call)
    at, path = repo.commit_at(call.match["rev"]), call.match["path"]
    blob = at.files.get(path)
    if blob is None:
        raise _no_entry(at, path)
    headers = {"X-Repo-Commit": at.sha, "ETag": f'"{blob.etag}"'}
    if not blob.lfs:
        return content(blob.data, call, headers)
    headers |= {"X-Linked-ETag": f'"{blob.etag}"', "X-Linked-Size": str(len(blob.data))}
    place = f"{hub.storage}/{PREFIXES[repo.kind]}{repo.id}/{blob.sha256}/{quote(path)}"
    return Reply(302, b"", headers | {"Location": f"{place}?signature={hub.signature}"})


def download(hub: Hub, call: Call) -> Reply:
    """The storage asks for a signature, not for a token."""
    data = _stored_in(hub, call).stored(call.match["oid"])
    if data is None:
        raise HubError(404, "NoSuchKey")
    return content(data, call, {"ETag": f'"{call.match["oid"]}"'})


# ----------------------------------------------------------------------------------------------------- upload


def preupload(hub: Hub, call: Call) -> Reply:
    """Which files go through LFS, and the hashes of those that are there already."""
    head = _writable(hub, call).commit_at(call.match["rev"])
    answers = []
    for file in call.json().get("files", []):
        path, size, sample = file["path"], file["size"], base64.b64decode(file["sample"])
        mode = "lfs" if _belongs_in_lfs(path, size, sample) else "regular"
        answer = {"path": path, "uploadMode": mode, "shouldIgnore": False}
        if path in head.files:
            answer["oid"] = head.files[path].etag
        answers.append(answer)
    return as_json({"files": answers})


def lfs_batch(hub: Hub, call: Call) -> Reply:
    repo, wish = _writable(hub, call), call.json()
    objects = []
    for wanted in wish.get("objects", []):
        answer = {"oid": wanted["oid"], "size": wanted["size"]}
        if repo.stored(wanted["oid"]) is None:
            put = f"{hub.storage}/{PREFIXES[repo.kind]}{repo.id}/{wanted['oid']}?signature={hub.signature}"
            verify = f"{hub.endpoint}/{PREFIXES[repo.kind]}{repo.id}.git/info/lfs/objects/verify"
            answer["actions"] = {"upload": {"href": put}, "verify": {"href": verify}}
        objects.append(answer)
    return as_json({"transfer": "basic", "objects": objects})


def upload(hub: Hub, call: Call) -> Reply:
    repo, oid = _stored_in(hub, call), call.match["oid"]
    if hashlib.sha256(call.body).hexdigest() != oid:
        raise HubError(400, f"The content's sha256 is not {oid}")
    repo.uploads[oid] = call.body
    return Reply(200, b"", {"ETag": f'"{oid}"'})


def lfs_verify(hub: Hub, call: Call) -> Reply:
    repo, claim = _writable(hub, call), call.json()
    data = repo.stored(claim.get("oid", ""))
    if data is None or len(data) != claim.get("size"):
        raise HubError(404, f"No object {claim.get('oid')} of {claim.get('size')} bytes")
    return as_json({})


def commit(hub: Hub, call: Call) -> Reply:
    """All lines are checked before the first one takes effect: a commit is there as a whole or not at all."""
    repo, branch = _writable(hub, call), call.match["rev"]
    if call.flag("create_pr"):
        raise HubError(400, "The double has no pull requests")
    if _ref(branch) not in repo.refs:
        raise HubError(404, f"Invalid rev id: {branch}", "RevisionNotFound")
    if call.fault and call.fault.stale_parent:
        repo.commit(branch, repo.commit_at(branch).files, "Somebody else's commit", "somebody-else")
    head = repo.commit_at(branch)
    header, files = _read_commit(repo, head, call.body)
    parent = header.get("parentCommit")
    if parent and not head.sha.startswith(parent):
        raise HubError(412, "A commit has happened since. Please refresh and try again.")
    _check_card(repo.kind, files, head)
    author = _logged_in(call).name
    made = repo.commit(branch, files, header["summary"], author, header.get("description") or "")
    url = f"{hub.endpoint}/{PREFIXES[repo.kind]}{repo.id}/commit/{made.sha}"
    return as_json({"success": True, "commitOid": made.sha, "commitUrl": url, "hookOutput": ""})


def validate_yaml(hub: Hub, call: Call) -> Reply:
    wish = call.json()
    errors, warnings = _card_problems(wish.get("content") or "", wish.get("repoType") or "model")
    lists = {"errors": errors, "warnings": warnings}
    messages = {name: [{"message": text} for text in texts] for name, texts in lists.items()}
    return as_json(messages, 400 if errors else 200)


def _read_commit(repo: Repository, head: Commit, body: bytes) -> tuple[dict[str, Any], dict[str, Blob]]:
    """(header, all files after the commit) of a commit's lines of JSON."""
    header: dict[str, Any] | None = None
    files = dict(head.files)
    for number, line in enumerate(filter(None, body.split(b"\n")), 1):
        try:
            item = json.loads(line)
            key, value = item["key"], item["value"]
            if key == "header":
                header = value
            elif key == "file":
                files[value["path"]] = Blob(_regular_content(value))
            elif key == "lfsFile":
                files[value["path"]] = _lfs_content(repo, value)
            elif key == "deletedFile":
                if files.pop(value["path"], None) is None:
                    raise HubError(404, "A file with this name doesn't exist", "EntryNotFound")
            elif key == "deletedFolder":
                inside = [path for path in files if path.startswith(value["path"].rstrip("/") + "/")]
                if not inside:
                    raise HubError(404, "A folder with this name doesn't exist", "EntryNotFound")
                for path in inside:
                    del files[path]
            else:
                raise HubError(400, f"Line {number}: unknown key {key!r}")
        except (ValueError, KeyError, TypeError) as error:
            raise HubError(400, f"Line {number} of the commit is malformed: {error!r}") from error
    if not header or not header.get("summary"):
        raise HubError(400, "The commit has no header with a summary")
    for path in files:
        if path.startswith("/") or ".." in path.split("/") or ".git" in path.split("/"):
            raise HubError(400, f"Invalid path: {path}")
        if any(str(parent) in files for parent in PurePosixPath(path).parents):
            raise HubError(400, f"{path} lies in what is a file")
    return header, files


def _regular_content(value: dict[str, Any]) -> bytes:
    if value.get("encoding") != "base64":
        return value["content"].encode()
    try:
        data = base64.b64decode(value["content"], validate=True)
    except binascii.Error as error:
        raise HubError(400, f"{value['path']} is not base64") from error
    if len(data) > 2 * LARGEST_REGULAR_FILE:
        raise HubError(400, f"{value['path']} is larger than 10 MiB: such files go through LFS")
    return data


def _lfs_content(repo: Repository, value: dict[str, Any]) -> Blob:
    data = repo.stored(value["oid"])
    if value.get("algo") != "sha256" or data is None or len(data) != value.get("size", len(data)):
        raise HubError(400, f"The LFS object {value['oid']} of {value['path']} was not uploaded")
    return Blob(data, lfs=True)


def _check_card(kind: str, files: dict[str, Blob], head: Commit) -> None:
    card = files.get("README.md")
    if card and card != head.files.get("README.md"):
        errors, _ = _card_problems(card.data.decode("utf-8", "replace"), kind)
        if errors:
            raise HubError(400, "Invalid metadata in README.md: " + "; ".join(errors))


# ----------------------------------------------------------------------------------------------------- Spaces


def settings_of_space(store: Literal["variables", "secrets"]) -> Callable[[Hub, Call], Reply]:
    """Handler of GET, POST and DELETE; a secret's value never comes back."""

    def handle(hub: Hub, call: Call) -> Reply:
        repo = _writable(hub, call)  # the real Hub shows them to nobody else either
        entries: dict[str, dict[str, str]] = getattr(repo, store)
        wish = call.json()
        if call.method == "POST":
            if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", str(wish.get("key"))) or "value" not in wish:
                raise HubError(400, f"{wish.get('key')!r} is no name of a variable, or has no value")
            entries[wish["key"]] = _entry(wish)
        elif call.method == "DELETE" and entries.pop(wish.get("key"), None) is None:
            raise HubError(404, f"There is no {wish.get('key')!r} among the {store}")
        hidden = {"value": None} if store == "secrets" else {}
        return as_json({key: entry | hidden for key, entry in entries.items()})

    return handle


def runtime(hub: Hub, call: Call) -> Reply:
    return as_json(_runtime(_readable(hub, call)))


def restart(hub: Hub, call: Call) -> Reply:
    repo = _writable(hub, call)
    repo.restarts += 1
    return as_json(_runtime(repo))


def _runtime(repo: Repository) -> dict[str, Any]:
    """A Space that has what its README promises "runs" at once; nothing is really started."""
    files = repo.commit_at("main").files
    card = _front_matter(files.get("README.md"))
    if (card.get("sdk") or repo.sdk) not in SPACE_SDKS:
        stage = "CONFIG_ERROR"
    else:
        stage = "RUNNING" if card.get("app_file", "app.py") in files else "NO_APP_FILE"
    hardware = {"current": "cpu-basic", "requested": "cpu-basic"}
    return {"stage": stage, "hardware": hardware, "storage": None, "gcTimeout": 172800, "devMode": False}


# ----------------------------------------------------------------------------------------- shared by handlers


def _logged_in(call: Call) -> User:
    if call.user is None:
        raise HubError(401, "Invalid username or password.")
    return call.user


def _readable(hub: Hub, call: Call) -> Repository:
    """The request's repository. One that is private is as good as absent for those who may not see it."""
    kind = (call.match.get("kinds") or "models")[:-1]
    repo = hub.repos.get((kind, call.match["id"]))
    if repo and (not repo.private or (call.user and call.user.may_read(repo.namespace))):
        return repo
    if call.user is None:
        # The Hub sends no code here, and the client concludes from the 401; but for https only, so we say it.
        raise HubError(401, "Invalid username or password.", "RepoNotFound")
    raise HubError(404, "Repository not found", "RepoNotFound")


def _writable(hub: Hub, call: Call) -> Repository:
    repo = _readable(hub, call)
    user = _logged_in(call)
    if not user.can_write:
        raise HubError(403, "Forbidden: you must use a write token to upload to a repository.")
    if not user.may_write(repo.id):
        raise HubError(403, f"Forbidden: {user.name} has no right to write to {repo.id} with this token.")
    return repo


def _stored_in(hub: Hub, call: Call) -> Repository:
    if call.query.get("signature") != [hub.signature]:
        raise HubError(403, "SignatureDoesNotMatch")
    return hub.repos[(call.match.get("kinds") or "models")[:-1], call.match["id"]]


def _no_entry(at: Commit, path: str) -> HubError:
    # Without X-Repo-Commit the client can't remember that the file is absent, and asks each time.
    return HubError(404, f"{path} does not exist", "EntryNotFound", X_Repo_Commit=at.sha)


def _page(hub: Hub, call: Call, items: list[dict[str, Any]]) -> Reply:
    start = int(call.query.get("cursor", ["0"])[0])
    reply = as_json(items[start : start + hub.page_size])
    if start + hub.page_size < len(items):
        query = urlencode(call.query | {"cursor": start + hub.page_size}, doseq=True)
        reply.headers["Link"] = f'<{hub.endpoint}{call.path}?{query}>; rel="next"'
    return reply


def _sibling(path: str, blob: Blob) -> dict[str, Any]:
    size = len(blob.data)
    entry = {"rfilename": path, "size": size, "blobId": blob.oid}
    if blob.lfs:
        entry["lfs"] = {"sha256": blob.sha256, "size": size, "pointerSize": len(blob.pointer)}
    return entry


def _entries(at: Commit) -> dict[str, dict[str, Any]]:
    """Path → what `tree` and `paths-info` say of it, folders included."""
    entries: dict[str, dict[str, Any]] = {}
    for path, blob in at.files.items():
        for parent in PurePosixPath(path).parents:
            if str(parent) != ".":
                oid = hashlib.sha1(f"{at.sha} {parent}".encode()).hexdigest()
                entries[str(parent)] = {"type": "directory", "oid": oid, "size": 0, "path": str(parent)}
        entries[path] = {"type": "file", "oid": blob.oid, "size": len(blob.data), "path": path}
        if blob.lfs:
            lfs = {"oid": blob.sha256, "size": len(blob.data), "pointerSize": len(blob.pointer)}
            entries[path]["lfs"] = lfs
    return dict(sorted(entries.items()))


def _describe(item: Commit) -> dict[str, Any]:
    author = {"user": item.author}
    texts = {"title": item.message, "message": item.description}
    return {"id": item.sha, "authors": [author], "date": item.date, **texts}


def _belongs_in_lfs(path: str, size: int, sample: bytes) -> bool:
    """By name, by size, or because it is no text. Empty files never: storage takes none."""
    if size == 0:
        return False
    name = path.rpartition("/")[2]
    return any(fnmatch(name, p) for p in LFS_PATTERNS) or size > LARGEST_REGULAR_FILE or b"\0" in sample


def _front_matter(card: Blob | None) -> dict[str, Any]:
    try:
        return _yaml_head(card.data.decode("utf-8", "replace")) if card else {}
    except ValueError:
        return {}


def _yaml_head(text: str) -> dict[str, Any]:
    """The mapping between the two `---` lines at the start; ValueError where it is none."""
    match = re.match(r"\s*---[ \t]*\r?\n(.*?\n)?---[ \t]*(\r?\n|$)", text, re.DOTALL)
    if not match:
        return {}
    try:
        data = yaml.safe_load(match[1] or "")
    except yaml.YAMLError as error:
        raise ValueError(f"bad YAML: {error}") from error
    if data is not None and not isinstance(data, dict):
        raise ValueError("the metadata should be a mapping")
    return json.loads(json.dumps(data or {}, default=str))  # dates become text, as in the Hub's answers


def _card_problems(text: str, kind: str) -> tuple[list[str], list[str]]:
    """(errors, warnings) of a README: the rules that our cards could break, not all of the Hub's."""
    try:
        head = _yaml_head(text)
    except ValueError as error:
        return [str(error)], []
    if not head:
        return [], ["empty or missing yaml metadata in repo card"]
    errors = []
    for name in ("datasets", "tags", "models"):
        value = head.get(name, [])
        if not all(isinstance(item, str) for item in (value if isinstance(value, list) else [value])):
            errors.append(f'"{name}" must be a string or a list of strings')
    if not isinstance(head.get("license", ""), str | list):
        errors.append('"license" must be a string')
    if kind == "model" and "model-index" in head:
        try:
            model_index_to_eval_results(head["model-index"])
        except (KeyError, TypeError, IndexError, ValueError) as error:
            errors.append(f'"model-index" is malformed: {error!r}')
    if kind == "space":
        if head.get("sdk") not in SPACE_SDKS:
            errors.append(f'"sdk" must be one of [{", ".join(SPACE_SDKS)}]')
        if "sdk_version" in head and not isinstance(head["sdk_version"], str):
            errors.append('"sdk_version" must be a string')
        errors += [
            f'"{name}" must be one of [{", ".join(SPACE_COLORS)}]'
            for name in ("colorFrom", "colorTo")
            if head.get(name, "red") not in SPACE_COLORS
        ]
        if len(str(head.get("short_description", ""))) > 60:
            errors.append('"short_description" length must be less than or equal to 60 characters long')
    return errors, []


def _id(name: str) -> str:
    return hashlib.sha1(name.encode()).hexdigest()[:24]


def _entry(wish: dict[str, Any]) -> dict[str, str]:
    return {"value": wish["value"], "description": wish.get("description") or "", "updatedAt": _now()}


def _ref(revision: str) -> str:
    return revision if revision.startswith("refs/") else f"refs/heads/{revision}"


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


# ------------------------------------------------------------------------------------------ the routing table

_API = r"/api/(?P<kinds>models|datasets|spaces)/(?P<id>[^/]+(?:/[^/]+)??)"
_SPACE = r"/api/(?P<kinds>spaces)/(?P<id>[^/]+/[^/]+)"
_WEB = r"/(?:(?P<kinds>datasets|spaces)/)?(?P<id>[^/]+(?:/[^/]+)??)"
_REV = r"(?P<rev>refs/(?:convert|pr|heads)/[^/]+|[^/]+)"
_LFS = _WEB + r"\.git/info/lfs/objects"
_STORAGE = r"/storage/(?:(?P<kinds>datasets|spaces)/)?(?P<id>[^/]+/[^/]+)/(?P<oid>[0-9a-f]{64})(?:/.*)?"

Handler = Callable[[Hub, Call], Reply]
ROUTES: tuple[tuple[str, re.Pattern[str], Handler], ...] = tuple(
    (method, re.compile(pattern), handler)
    for method, pattern, handler in (
        ("GET", r"/api/whoami-v2", whoami),
        ("POST", r"/api/validate-yaml", validate_yaml),
        ("POST", r"/api/repos/create", create_repo),
        ("DELETE", r"/api/repos/delete", delete_repo),
        ("GET", _SPACE + r"/variables", settings_of_space("variables")),
        ("POST", _SPACE + r"/variables", settings_of_space("variables")),
        ("DELETE", _SPACE + r"/variables", settings_of_space("variables")),
        ("GET", _SPACE + r"/secrets", settings_of_space("secrets")),
        ("POST", _SPACE + r"/secrets", settings_of_space("secrets")),
        ("DELETE", _SPACE + r"/secrets", settings_of_space("secrets")),
        ("GET", _SPACE + r"/runtime", runtime),
        ("POST", _SPACE + r"/restart", restart),
        ("GET", _API + r"/auth-check", check_read),
        ("GET", _API + r"/auth-check/write", check_write),
        ("PUT", _API + r"/settings", change_settings),
        ("GET", _API + r"/refs", refs),
        ("POST", _API + r"/branch/(?P<branch>.+)", create_branch),
        ("GET", _API + rf"/commits/{_REV}", commits),
        ("GET", _API + rf"/tree/{_REV}(?:/(?P<path>.+))?", tree),
        ("POST", _API + rf"/paths-info/{_REV}", paths_info),
        ("POST", _API + rf"/preupload/{_REV}", preupload),
        ("POST", _API + rf"/commit/{_REV}", commit),
        ("GET", _API + rf"/revision/{_REV}", info),
        ("GET", _API, info),
        ("POST", _LFS + r"/batch", lfs_batch),
        ("POST", _LFS + r"/verify", lfs_verify),
        ("GET", _STORAGE, download),
        ("HEAD", _STORAGE, download),
        ("PUT", _STORAGE, upload),
        ("GET", _WEB + rf"/resolve/{_REV}/(?P<path>.+)", resolve),
        ("HEAD", _WEB + rf"/resolve/{_REV}/(?P<path>.+)", resolve),
    )
)
