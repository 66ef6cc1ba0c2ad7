"""The models a person has: everything under the model folders, files added by path, and the starter model.

Looks at files and their headers only; knows nothing of loading or of how a model is shown. Partial downloads are
not offered. Facts are kept by path, size and time, so that a second look costs a `stat` a file.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Literal

import orjson

from webui.errors import BadValue, LoadFailed
from webui.files import safe_child, write_atomically
from webui.hub.architectures import EngineArchitectures
from webui.hub.facts import Content, ModelFacts, facts_of
from webui.hub.folders import look_at_folder
from webui.hub.gguf import read_header
from webui.hub.reasons import BadModelFile, Reason
from webui.settings import STARTER_PACKAGE

Kind = Literal["gguf", "exl2", "gptq", "safetensors", "lora", "projector", "tokenizer", "unusable"]
_SPLIT = re.compile(r"^(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})\.gguf$", re.IGNORECASE)
_MAX_DEPTH = 6


class UnknownModel(BadValue):
    """No model has that name; the message says which there are."""

    code = "model_not_found"

    def __init__(self, message: str, *, cause: str, name: str, listed: str = "") -> None:
        super().__init__(message, param="model", values={"cause": cause, "name": name, "listed": listed})


@dataclass(frozen=True, slots=True)
class ModelEntry:
    """One model. `name` is what --model, the API and the list say; `reason` why it cannot be loaded alone."""

    name: str
    path: Path
    kind: Kind
    size_bytes: int
    files: tuple[Path, ...]
    modified: float
    origin: Literal["folder", "added", "starter"] = "folder"
    facts: ModelFacts | None = None
    reason: Reason | None = None
    culprit: str = ""
    """The file the reason is about, if it is not `path` itself."""

    @property
    def problem(self) -> str | None:
        return self.problem_in("en")

    def problem_in(self, language: str) -> str | None:
        """Why it cannot be loaded, as a sentence in English or Russian."""
        return self.reason.sentence(self.culprit or self.path.name, language) if self.reason else None

    @property
    def loadable(self) -> bool:
        return self.reason is None and self.kind == "gguf"


class Library:
    """What there is to load. `scan` looks at the disk, `entries` answers from the last look."""

    def __init__(self, folders: Iterable[Path], *, added_file: Path | None = None, starter: bool = True) -> None:
        self.folders = tuple(Path(folder) for folder in folders)
        self._added_file = added_file
        self._starter = starter
        self._engine = EngineArchitectures()
        self._facts: dict[tuple[str, int, int], ModelFacts | Reason] = {}
        self._entries: tuple[ModelEntry, ...] | None = None

    def entries(self) -> tuple[ModelEntry, ...]:
        """What the last scan found; the first call scans."""
        return self.scan() if self._entries is None else self._entries

    def scan(self) -> tuple[ModelEntry, ...]:
        """Look at the disk again."""
        found: dict[str, ModelEntry] = {}
        for folder in self.folders:
            for entry in self._in_folder(folder):
                found.setdefault(str(entry.path), entry)
        for path in self.added():
            entry = self.look_at(path, origin="added")
            found.setdefault(str(entry.path), entry)
        starter = starter_model() if self._starter else None
        if starter is not None:
            found.setdefault(str(starter), self.look_at(starter, origin="starter"))
        self._entries = _with_unique_names(sorted(found.values(), key=lambda entry: entry.name.lower()))
        return self._entries

    def find(self, name: str) -> ModelEntry:
        """The model called `name`: a path, a name from the list, or the unmistakable beginning or ending of one."""
        path = Path(name).expanduser()
        if path.exists() and (path.is_absolute() or path.suffix or os.sep in name or path.is_dir()):
            return self.look_at(path)
        entries = self.scan()
        wanted = name.lower().removesuffix(".gguf")
        exact = [entry for entry in entries if entry.name.lower() == wanted or entry.path.name.lower() == name.lower()]
        if exact:
            return exact[0]
        near = [entry for entry in entries if wanted and wanted in entry.name.lower()]
        if len(near) == 1:
            return near[0]
        if near:
            said = f"The name {name!r} fits several models: {_listed(near)}."
            raise UnknownModel(said, cause="model_ambiguous", name=name, listed=_listed(near))
        if not entries:
            raise UnknownModel(f"There is no model {name!r}: the model folder is empty.", cause="no_models", name=name)
        said = f"There is no model {name!r}. There are: {_listed(entries)}."
        raise UnknownModel(said, cause="model_not_found", name=name, listed=_listed(entries))

    def default(self) -> ModelEntry | None:
        """What to load when nobody said anything: the starter model, else the only model there is."""
        entries = [entry for entry in self.entries() if entry.loadable]
        starter = [entry for entry in entries if entry.origin == "starter"]
        return starter[0] if starter else entries[0] if len(entries) == 1 else None

    def look_at(self, path: Path, origin: Literal["folder", "added", "starter"] = "added") -> ModelEntry:
        """One file or folder, wherever it is."""
        if path.is_dir() and not path.name.lower().endswith(".gguf"):
            return replace(self._folder(path), origin=origin)
        return self._file(path, _display_name(path, path.parent), origin)

    # Files added by path ------------------------------------------------------------------------------------------

    def added(self) -> tuple[Path, ...]:
        """The paths added by hand, in the order they were added."""
        if self._added_file is None or not self._added_file.exists():
            return ()
        try:
            listed = orjson.loads(self._added_file.read_bytes())
        except orjson.JSONDecodeError:
            return ()
        return tuple(Path(item) for item in listed if isinstance(item, str)) if isinstance(listed, list) else ()

    def add(self, path: str | Path) -> ModelEntry:
        """Remember a model where it is, without copying it."""
        target = Path(path).expanduser()
        if not target.is_absolute():
            raise BadValue(f"Give the whole path of the model, not {str(path)!r}.", param="path")
        if not target.exists():
            raise BadValue(f"There is nothing at {target}.", param="path")
        entry = self.look_at(target.resolve(), origin="added")
        if entry.reason:
            raise BadModelFile(entry.reason, entry.culprit or entry.path.name, param="path")
        self._write_added((*(known for known in self.added() if known != entry.path), entry.path))
        self._entries = None
        return entry

    def take(self, upload: Path, name: str) -> ModelEntry:
        """Move a file that was dragged in to the first model folder, once its header has been checked."""
        if not name.lower().endswith(".gguf"):
            raise BadModelFile(Reason("not_gguf"), name, param="file")
        if not self.folders:
            raise BadValue("There is no model folder to put the file in: name one with --model-dir.", param="file")
        target = safe_child(self.folders[0], name)
        if target.exists():
            raise BadValue(f"There is a file {name} in the model folder already: rename one of them.", param="file")
        try:
            facts_of(read_header(upload))
        except BadModelFile as error:
            raise BadModelFile(error.reason, name, param="file") from error
        self.folders[0].mkdir(parents=True, exist_ok=True)
        beside = target.with_name(f".{target.name}.part")
        shutil.move(upload, beside)
        beside.replace(target)
        self._entries = None
        return self.look_at(target, origin="folder")

    def forget(self, path: Path) -> None:
        """Take a path off the list; the file stays."""
        self._write_added(known for known in self.added() if known != path)
        self._entries = None

    def _write_added(self, paths: Iterable[Path]) -> None:
        if self._added_file is None:
            raise LoadFailed("There is no data folder to remember the path in.")
        write_atomically(self._added_file, orjson.dumps([str(path) for path in paths], option=orjson.OPT_INDENT_2))

    # Looking at the disk ------------------------------------------------------------------------------------------

    def _in_folder(self, folder: Path) -> Iterator[ModelEntry]:
        for place, files, folders in _walk(folder):
            whole = [name for name in folders if name.lower().endswith(".gguf")]
            for name in (*files, *whole):
                split = _SPLIT.match(name)
                if not name.lower().endswith(".gguf") or (split and not _is_first(split, files)):
                    continue
                yield self._file(place / name, _display_name(place / name, folder), "folder")
            if place != folder and not any(name.lower().endswith(".gguf") for name in files):
                entry = self._folder(place, name=place.relative_to(folder).as_posix())
                if entry.kind != "unusable" or entry.reason:
                    yield entry

    def _folder(self, path: Path, name: str | None = None) -> ModelEntry:
        seen = look_at_folder(path)
        stamp = path.stat().st_mtime
        return ModelEntry(
            name or path.name,
            path,
            seen.kind,
            seen.size,
            seen.files,
            stamp,
            facts=seen.facts,
            reason=seen.reason,
            culprit=seen.culprit,
        )

    def _file(self, path: Path, name: str, origin: Literal["folder", "added", "starter"]) -> ModelEntry:
        parts, missing = _parts(path)

        def unusable(reason: Reason, culprit: str = "", size: int = 0, stamp: float = 0.0) -> ModelEntry:
            return ModelEntry(name, parts[0], "unusable", size, parts, stamp, origin, None, reason, culprit)

        try:
            stats = [part.stat() for part in parts if part not in missing]
        except OSError as error:
            return unusable(Reason("unreadable", {"why": error.strerror or str(error)}), path.name)
        size, stamp = sum(s.st_size for s in stats), max((s.st_mtime for s in stats), default=0.0)
        if missing:
            values = {"missing": len(missing), "count": len(parts), "names": ", ".join(part.name for part in missing)}
            return unusable(Reason("parts_missing", values), name, size, stamp)
        looked: list[ModelFacts] = []
        for part in parts:
            seen = self._facts_of(part)
            if isinstance(seen, Reason):
                return unusable(seen, part.name, size, stamp)
            looked.append(seen)
        first = looked[0]
        if first.content == "model" and first.split_count != len(parts):
            return unusable(Reason("split_names", {"count": first.split_count, "found": len(parts)}), "", size, stamp)
        kind, code = _WHAT_IT_IS[first.content]
        reason = Reason(code) if code else None
        return ModelEntry(name, parts[0], kind, size, parts, stamp, origin, _joined(looked), reason)

    def _facts_of(self, path: Path) -> ModelFacts | Reason:
        try:
            stat = path.stat()
        except OSError as error:
            return Reason("unreadable", {"why": error.strerror or str(error)})
        key = (str(path), stat.st_size, stat.st_mtime_ns)
        known = self._facts.get(key)
        if known is None:
            try:
                known = facts_of(read_header(path))
            except BadModelFile as error:
                known = error.reason
            else:
                if known.content == "model" and not self._engine.knows(known.architecture):
                    known = Reason("unknown_architecture", {"architecture": known.architecture})
            self._facts[key] = known
        return known


_WHAT_IT_IS: Mapping[Content, tuple[Kind, str]] = MappingProxyType(
    {
        "model": ("gguf", ""),
        "lora": ("lora", "lora"),
        "projector": ("projector", "projector"),
        "tokenizer": ("tokenizer", "tokenizer"),
        "imatrix": ("unusable", "imatrix"),
        "part": ("unusable", "part"),
    }
)
"""What a file is called by what it holds, and the reason why it is not loaded alone."""


def starter_model() -> Path | None:
    """The model that comes with the program, found without importing its package; None if it is not installed."""
    spec = importlib.util.find_spec(STARTER_PACKAGE)
    for place in (spec.submodule_search_locations or ()) if spec else ():
        for path in sorted(Path(place).glob("*.gguf")):
            return path
    return None


def _walk(folder: Path) -> Iterator[tuple[Path, list[str], list[str]]]:
    """Folders below `folder` with their files, hidden ones and partial downloads left out."""
    for place, folders, files in os.walk(folder):
        depth = len(Path(place).relative_to(folder).parts)
        folders[:] = sorted(name for name in folders if not name.startswith(".")) if depth < _MAX_DEPTH else []
        yield Path(place), sorted(name for name in files if not name.startswith(".")), list(folders)


def _is_first(split: re.Match[str], files: list[str]) -> bool:
    """Whether this part is the lowest that is there, so that a model whose first part is missing is listed too."""
    same = []
    for name in files:
        other = _SPLIT.match(name)
        if other and (other["stem"], other["count"]) == (split["stem"], split["count"]):
            same.append(int(other["number"]))
    return int(split["number"]) == min(same)


def _parts(path: Path) -> tuple[tuple[Path, ...], tuple[Path, ...]]:
    """All files of the model `path` belongs to, and those of them that are missing."""
    split = _SPLIT.match(path.name)
    if not split or not 1 <= int(split["count"]) <= 1000:
        return (path,), ()
    count = int(split["count"])
    suffix = path.name[-5:]
    parts = tuple(path.with_name(f"{split['stem']}-{n:05d}-of-{count:05d}{suffix}") for n in range(1, count + 1))
    return parts, tuple(part for part in parts if not part.exists())


def _joined(looked: list[ModelFacts]) -> ModelFacts:
    """The facts of a model in parts: the first part has its dimensions, all have its weights."""
    first = looked[0]
    if len(looked) == 1:
        return first
    size = sum(part.tensor_bytes for part in looked)
    parameters = sum(part.parameters for part in looked)
    bits = 8 * size / parameters if parameters else first.bits_per_weight
    return replace(first, tensor_bytes=size, parameters=parameters, bits_per_weight=bits)


def _display_name(path: Path, root: Path) -> str:
    relative = path.relative_to(root).as_posix()
    split = _SPLIT.match(path.name)
    if split:
        return relative.removesuffix(path.name) + split["stem"]
    return relative[:-5] if relative.lower().endswith(".gguf") else relative


def _with_unique_names(entries: list[ModelEntry]) -> tuple[ModelEntry, ...]:
    """Names must be unique: a second model of the same name gets its folder's name added."""
    seen: set[str] = set()
    result = []
    for entry in entries:
        name, number = entry.name, 2
        if name in seen:
            name = f"{entry.name} ({entry.path.parent.name})"
        while name in seen:
            name, number = f"{entry.name} ({entry.path.parent.name} {number})", number + 1
        seen.add(name)
        result.append(entry if name == entry.name else replace(entry, name=name))
    return tuple(result)


def _listed(entries: Iterable[ModelEntry]) -> str:
    names = [entry.name for entry in entries]
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
