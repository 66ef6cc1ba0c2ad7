"""Which model somebody means: `user/model`, `user/model:branch`, a file in it, or an address pasted from the browser.

Pure: text in, Reference out. An address is only taken apart, never visited; addresses of other sites are refused.

To call: `parse(text)` (with the mirror's address as `endpoint` if there is one) gives a Reference, or a HubFault.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from webui.hub.faults import BadReference, OtherSite

DEFAULT_ENDPOINT = "https://huggingface.co"
MAIN = "main"
_HUB_HOSTS = frozenset({"huggingface.co", "www.huggingface.co", "hf.co"})
_NAME = r"[A-Za-z0-9][\w.-]{0,95}"
_REPO = re.compile(rf"{_NAME}/{_NAME}", re.ASCII)
_REVISION = re.compile(r"[A-Za-z0-9][\w./+-]{0,127}", re.ASCII)
_COMMAND = re.compile(r"^(?:huggingface-cli|hf)\s+download\s+", re.IGNORECASE)
_VERBS = frozenset({"tree", "blob", "resolve", "raw"})
_OTHER_KINDS = frozenset({"datasets", "spaces", "docs", "papers", "collections", "models", "api", "settings"})


@dataclass(frozen=True, slots=True)
class Reference:
    """A model repository, a revision of it, and perhaps a file or folder in it."""

    repo: str
    revision: str = MAIN
    path: str = ""

    def __str__(self) -> str:
        branch = "" if self.revision == MAIN else f":{self.revision}"
        return f"{self.repo}{branch}{'/' + self.path if self.path else ''}"


def parse(text: str, endpoint: str = DEFAULT_ENDPOINT) -> Reference:
    """The model that `text` names. Nothing in it can lead out of the hub or out of a folder."""
    given = text.strip().strip("\"'<>")
    if not given or len(given) > 2000 or not given.isprintable() or given[0] in "/\\.~":
        raise BadReference(text)
    command = _COMMAND.match(given)
    if command:
        parts = [part for part in given[command.end() :].split() if not part.startswith("-")]
        reference = _checked(text, parts[0] if parts else "", MAIN, parts[1] if len(parts) == 2 else "")
    elif "://" in given:
        reference = _from_address(text, given, endpoint)
    elif given.split("/", 1)[0].lower() in _HUB_HOSTS:
        reference = _from_address(text, f"https://{given}", endpoint)
    else:
        reference = _from_words(text, given)
    return reference


def _from_address(text: str, address: str, endpoint: str) -> Reference:
    try:
        parts = urlsplit(address)
        host, port = (parts.hostname or "").lower(), parts.port
        own = urlsplit(endpoint)
    except ValueError as error:
        raise BadReference(text) from error
    if parts.scheme not in ("http", "https") or parts.username or parts.password:
        raise BadReference(text)
    of_mirror = (host, port) == ((own.hostname or "").lower(), own.port)
    if not of_mirror and (host not in _HUB_HOSTS or port is not None):
        raise OtherSite(host)
    path = unquote(parts.path).strip("/")
    if of_mirror and own.path.strip("/"):
        path = path.removeprefix(own.path.strip("/")).strip("/")
    segments = path.split("/")
    if segments[0] in _OTHER_KINDS or len(segments) < 2:
        raise BadReference(text)
    repo, rest = "/".join(segments[:2]), segments[2:]
    if ":" in repo:
        return _from_words(text, path)
    if not rest or rest[0] not in _VERBS:
        return _checked(text, repo, MAIN, "")
    if len(rest) < 2:
        raise BadReference(text)
    return _checked(text, repo, rest[1], "/".join(rest[2:]))


def _from_words(text: str, given: str) -> Reference:
    """user/model, user/model:branch, user/model/file, user/model:branch/file."""
    repo_and_path, colon, branch_and_path = given.partition(":")
    segments = repo_and_path.strip("/").split("/")
    repo, path = "/".join(segments[:2]), "/".join(segments[2:])
    if not colon:
        return _checked(text, repo, MAIN, path)
    if path:
        raise BadReference(text)
    branch, _, file = branch_and_path.strip().partition("/")
    return _checked(text, repo, branch, file)


def _checked(text: str, repo: str, revision: str, path: str) -> Reference:
    good = _REPO.fullmatch(repo) and _REVISION.fullmatch(revision) and ".." not in repo + revision
    if not good or repo.endswith((".git", ".ipynb")) or (path and not is_safe_path(path)):
        raise BadReference(text)
    return Reference(repo, revision, path)


def is_safe_path(path: str) -> bool:
    """Whether a path from elsewhere stays inside the folder it is put in, on every operating system."""
    if not path or len(path) > 500 or "\\" in path or ":" in path or not path.isprintable():
        return False
    return all(part not in ("", ".", "..") and not part.startswith(("~", " ")) and part[-1] not in " ."
               for part in path.split("/"))  # fmt: skip
