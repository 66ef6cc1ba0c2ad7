"""Asks a model hub: which models there are, what files one has, which branches. Through huggingface_hub's own calls.

They are blocking, so each runs in a thread with a limit of its own; the event loop never waits. Everything that can go
wrong comes out as a HubFault. Downloads nothing (transfer.py does) and never follows the hub's retry habits: a person
who waits for a list wants the sentence, not five attempts.

To call: `hub = Hub.from_environment()` (HF_ENDPOINT, HF_TOKEN or the token of `hf auth login`, HF_HUB_OFFLINE), then
- `await hub.find("qwen", kind="gguf", sort="downloads")`: tuple of Found (repo, likes, downloads, parameters, ...);
- `await hub.look(reference)`: RepoView with its files, sizes, checksums, licence, whether it is gated;
- `await hub.branches(repo)`: the names of its branches (EXL2 repos keep one quantisation in each);
- `hub.file_url(view, path)`, `hub.headers()`: for the transfer.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, TypeVar
from urllib.parse import quote, urlsplit

from webui.errors import BadValue
from webui.hub.client import make_impatient, translated
from webui.hub.faults import BadName, NoFile, NoRevision, Offline, Unreachable
from webui.hub.quants import BITS
from webui.hub.reference import DEFAULT_ENDPOINT, MAIN, Reference, is_safe_path

T = TypeVar("T")
PATIENCE = 30.0
AGENT = "sampler-lab"
LONGEST_TOKEN = 400
_FILTERS: Mapping[str, str | None] = {"gguf": "gguf", "exl2": "exl2", "lora": "lora", "any": None}
_EXPAND = ("downloads", "likes", "gated", "gguf", "lastModified", "tags")

SearchKind = Literal["gguf", "exl2", "lora", "any"]
Sort = Literal["downloads", "likes", "last_modified", "trending_score"]
TokenFrom = Literal["", "variable", "login", "page"]
"""Who gave the token: nobody, HF_TOKEN, `hf auth login`, or somebody on the page for this run."""


@dataclass(frozen=True, slots=True)
class Found:
    """One line of a search. `parameters` and `architecture` are the hub's word, empty where it has none."""

    repo: str
    likes: int = 0
    downloads: int = 0
    gated: bool = False
    updated: str = ""
    parameters: int = 0
    architecture: str = ""
    context: int = 0


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file on the hub. `sha256` is known of large files, `git_oid` (of the contents) of small ones."""

    path: str
    size: int
    sha256: str = ""
    git_oid: str = ""

    @property
    def name(self) -> str:
        return self.path.rsplit("/", 1)[-1]


@dataclass(frozen=True, slots=True)
class RepoView:
    """A repository at one commit. What is downloaded from it is of this commit, whatever is uploaded meanwhile."""

    repo: str
    revision: str
    commit: str
    files: tuple[RemoteFile, ...]
    gated: bool = False
    licence: str = ""
    parameters: int = 0
    architecture: str = ""
    context: int = 0
    wanted: str = ""
    """A quantisation or file that the reference asked for; the page shows it first."""


@dataclass(frozen=True, slots=True)
class Hub:
    endpoint: str = DEFAULT_ENDPOINT
    token: str = field(default="", repr=False)
    offline: bool = False
    patience: float = PATIENCE
    token_from: TokenFrom = ""

    @classmethod
    def from_environment(cls) -> Hub:
        """As the variables say that every tool of the field reads."""
        endpoint = os.environ.get("HF_ENDPOINT", "").strip().rstrip("/") or DEFAULT_ENDPOINT
        offline = any(_is_true(os.environ.get(name)) for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"))
        token = os.environ.get("HF_TOKEN", "").strip()
        given: TokenFrom = "variable" if token else ""
        if not token and not offline and not _is_true(os.environ.get("HF_HUB_DISABLE_IMPLICIT_TOKEN")):
            token = _kept_token()
            given = "login" if token else ""
        return cls(endpoint, token, offline, token_from=given)

    def with_token(self, token: str) -> Hub:
        """The same hub asked with another token (or none), for this run only."""
        given = token.strip()
        if given and not (given.isascii() and given.isprintable() and " " not in given and len(given) <= LONGEST_TOKEN):
            raise BadValue("This is no token: it has no blanks and begins with hf_.", param="token", code="no_token")
        return replace(self, token=given, token_from="page" if given else "")

    def at(self, address: str) -> Hub:
        """Another hub, for this run only. The token stays behind: it belongs to the hub it was made at."""
        given = address.strip().rstrip("/") or DEFAULT_ENDPOINT
        try:
            parts = urlsplit(given)
            good = parts.scheme in ("http", "https") and parts.hostname and not (parts.username or parts.query)
            _ = parts.port
        except ValueError:
            good = False
        if not good or not given.isprintable() or " " in given:
            sentence = f"{address[:80]!r} is no address: write one like https://hf-mirror.com."
            raise BadValue(sentence, param="endpoint", code="no_address", values={"text": address[:80]})
        return self if given == self.endpoint else replace(self, endpoint=given, token="", token_from="")

    @property
    def host(self) -> str:
        return urlsplit(self.endpoint).netloc

    def headers(self) -> dict[str, str]:
        """For requests to the hub itself; the token must not go to any other host."""
        found = {"User-Agent": AGENT, "Accept-Encoding": "identity"}
        return {**found, "Authorization": f"Bearer {self.token}"} if self.token else found

    def file_url(self, repo: str, commit: str, path: str) -> str:
        return f"{self.endpoint}/{repo}/resolve/{quote(commit, safe='')}/{quote(path)}"

    async def find(
        self, text: str, *, kind: SearchKind = "gguf", sort: Sort = "downloads", limit: int = 30
    ) -> tuple[Found, ...]:
        """Models whose name has `text` in it, the most downloaded (liked, newest) first."""

        def ask(api: Any) -> tuple[Found, ...]:
            models = api.list_models(
                search=text.strip() or None, filter=_FILTERS[kind], sort=sort, limit=limit, expand=list(_EXPAND)
            )
            return tuple(_found(model) for model in models)

        return await self._ask(ask, Reference(text))

    async def look(self, reference: Reference) -> RepoView:
        """The files of a model. `user/model:Q4_K_M` is understood where there is no such branch."""

        def ask(api: Any, revision: str, wanted: str) -> RepoView:
            info = api.model_info(reference.repo, revision=revision, timeout=self.patience)
            tree = list(api.list_repo_tree(reference.repo, revision=info.sha, recursive=True))
            return _view(reference, revision, info, tree, wanted)

        try:
            view = await self._ask(lambda api: ask(api, reference.revision, reference.path), reference)
        except NoRevision:
            if reference.revision.upper() not in BITS:
                raise
            view = await self._ask(lambda api: ask(api, MAIN, reference.revision.upper()), reference)
        if reference.path and not any(_is_in(file.path, reference.path) for file in view.files):
            raise NoFile(reference.repo, reference.path)
        return view

    async def branches(self, repo: str) -> tuple[str, ...]:
        """The branches of a model, the main one first."""

        def ask(api: Any) -> tuple[str, ...]:
            names = [branch.name for branch in api.list_repo_refs(repo).branches]
            return tuple(sorted(names, key=lambda name: (name != MAIN, name)))

        return await self._ask(ask, Reference(repo))

    async def _ask(self, call: Callable[[Any], T], about: Reference) -> T:
        if self.offline:
            raise Offline()
        try:
            return await asyncio.wait_for(asyncio.to_thread(self._call, call, about), self.patience)
        except asyncio.TimeoutError as error:
            raise Unreachable(self.host) from error

    def _call(self, call: Callable[[Any], T], about: Reference) -> T:
        from huggingface_hub import HfApi

        make_impatient(self.patience)
        api = HfApi(endpoint=self.endpoint, token=self.token or False, library_name=AGENT)
        with translated(about, self.host):
            return call(api)


def _found(model: Any) -> Found:
    gguf = model.gguf if isinstance(model.gguf, dict) else {}
    updated = model.last_modified.date().isoformat() if model.last_modified else ""
    return Found(
        model.id,
        model.likes or 0,
        model.downloads or 0,
        bool(model.gated),
        updated,
        _whole(gguf.get("total")),
        str(gguf.get("architecture", "")),
        _whole(gguf.get("context_length")),
    )


def _view(reference: Reference, revision: str, info: Any, tree: list[Any], wanted: str) -> RepoView:
    files = []
    for entry in tree:
        if not hasattr(entry, "size"):
            continue
        if not is_safe_path(entry.path):
            raise BadName(entry.path)
        lfs = entry.lfs
        files.append(
            RemoteFile(
                entry.path,
                int(lfs.size if lfs else entry.size),
                str(lfs.sha256 if lfs else ""),
                "" if lfs else str(entry.blob_id),
            )
        )
    card = info.card_data.to_dict() if info.card_data else {}
    gguf = info.gguf if isinstance(info.gguf, dict) else {}
    licence = card.get("license", "")
    return RepoView(
        info.id or reference.repo,
        revision,
        info.sha,
        tuple(sorted(files, key=lambda file: file.path)),
        bool(info.gated),
        licence if isinstance(licence, str) else "",
        _whole(gguf.get("total")),
        str(gguf.get("architecture", "")),
        _whole(gguf.get("context_length")),
        wanted,
    )


def _is_in(path: str, wanted: str) -> bool:
    return path == wanted or path.startswith(wanted.rstrip("/") + "/")


def _whole(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


def _kept_token() -> str:
    """The token that `hf auth login` keeps. Read here, as importing the library for it would slow the start down."""
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    home = os.environ.get("HF_HOME") or os.path.join(cache, "huggingface")
    path = Path(os.environ.get("HF_TOKEN_PATH") or os.path.join(home, "token")).expanduser()
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return ""


def _is_true(value: str | None) -> bool:
    return (value or "").strip().upper() in ("1", "ON", "YES", "TRUE")
