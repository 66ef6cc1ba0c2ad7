"""One download as it stands on the disk: its description, its partial files, and how it is put in its place.

Everything lies in a hidden folder inside the model folder (`.downloads/<id>/`), which the library never looks into, so
that nothing half is ever offered, and the last step is a rename. Knows nothing of networks or of the queue.
"""

from __future__ import annotations

import os
import shutil
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import orjson

from webui.files import safe_child, write_atomically
from webui.hub.advice import Offer
from webui.hub.faults import BadName, DiskFull, Exists, HubFault, NotWritten
from webui.hub.folders import check_safetensors
from webui.hub.gguf import read_header
from webui.hub.reasons import BadModelFile
from webui.hub.reference import is_safe_path
from webui.hub.search import RemoteFile

FOLDER = ".downloads"
MARGIN = 200_000_000
_DESCRIPTION = "job.json"
_STAGING = "folder"
_VERSION = 1

State = Literal["waiting", "running", "checking", "paused", "failed", "done"]
_STATES = frozenset({"waiting", "running", "checking", "paused", "failed", "done"})


@dataclass(slots=True)
class Job:
    """One download. The queue owns it; pages see a JobView."""

    id: str
    offer: Offer
    root: Path
    state: State = "waiting"
    created: float = field(default_factory=time.time)
    problem: dict[str, Any] | None = None

    @property
    def folder(self) -> Path:
        return self.root / FOLDER / self.id

    @property
    def target(self) -> Path:
        """The file or folder that will be there at the end; of several parts the first."""
        return self.root / self.offer.folder if self.offer.folder else self.place_of(self.offer.files[0])

    def part(self, number: int) -> Path:
        return self.folder / f"{number}.part"

    def place_of(self, file: RemoteFile) -> Path:
        """Where a file goes. Names come from elsewhere: one that is no plain name is refused."""
        if self.offer.folder:
            return safe_child(self.root, self.offer.folder) / _plain(file.name)
        name = file.name
        if self.offer.kind == "projector":
            name = f"{self.offer.repo.rpartition('/')[2]}-{name}"
        return safe_child(self.root, _plain(name))

    def arrived(self) -> int:
        """Bytes of it that are on the disk, in partial files or already in place."""
        return sum(min(self.arrived_of(number), file.size) for number, file in enumerate(self.offer.files))

    def arrived_of(self, number: int) -> int:
        if self.is_complete(number):
            return self.offer.files[number].size
        try:
            return self.part(number).stat().st_size
        except FileNotFoundError:
            return 0

    def is_placed(self, number: int) -> bool:
        """Whether this job has moved the file to its place already (and was interrupted before the others)."""
        return (self.folder / f"{number}.placed").exists() and self.place_of(self.offer.files[number]).exists()

    def is_complete(self, number: int) -> bool:
        """Whether the file arrived and was checked, wherever this job has moved it since."""
        if not (self.folder / f"{number}.whole").exists():
            return False
        return self.part(number).exists() or self.is_placed(number) or self.staged(number).exists()

    def staged(self, number: int) -> Path:
        """Where a file of a folder waits for the others."""
        return self.folder / _STAGING / self.offer.files[number].name

    def mark_whole(self, number: int) -> None:
        """From now on the partial file counts as complete and checked, also after a restart."""
        (self.folder / f"{number}.whole").touch()

    def save(self) -> None:
        content = {
            "version": _VERSION,
            "offer": asdict(self.offer),
            "state": self.state,
            "created": self.created,
            "problem": self.problem,
        }
        self.folder.mkdir(parents=True, exist_ok=True)
        write_atomically(self.folder / _DESCRIPTION, orjson.dumps(content, option=orjson.OPT_INDENT_2))

    def delete(self) -> None:
        """Remove what it left in the hidden folder; what is in place stays."""
        shutil.rmtree(self.folder, ignore_errors=True)


def new_job(offer: Offer, root: Path) -> Job:
    """A job with every name checked before anything is written."""
    for file in offer.files:
        if not is_safe_path(file.path):
            raise BadName(file.path)
    job = Job(uuid.uuid4().hex[:12], offer, root)
    for place in {job.place_of(file) for file in offer.files} | {job.target}:
        if place.exists() and (place == job.target or not offer.folder):
            raise Exists(place.name)
    return job


def check_space(root: Path, needed: int) -> None:
    """DiskFull if less than `needed` bytes, with a little to spare, are free where the models are."""
    place = root
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    if needed + MARGIN > free:
        raise DiskFull(str(root), needed + MARGIN, free)


def check_content(job: Job, number: int) -> None:
    """Refuse a file that is not what its name says: the part is deleted and the reason raised."""
    file, part = job.offer.files[number], job.part(number)
    reason = None
    if file.name.lower().endswith(".gguf"):
        try:
            read_header(part)
        except BadModelFile as error:
            reason = error.reason
    elif file.name.lower().endswith(".safetensors"):
        reason = check_safetensors(part)
    if reason:
        part.unlink(missing_ok=True)
        raise BadModelFile(reason, file.name)


def put_in_place(job: Job) -> None:
    """Move the checked files to where models are. Can be called again after a crash at any point."""
    offer = job.offer
    try:
        if offer.folder:
            _place_folder(job)
        else:
            # The first part last: until it is there, the library sees no model.
            for number in reversed(range(len(offer.files))):
                if not job.is_placed(number):
                    _move(job.part(number), job.place_of(offer.files[number]))
                    (job.folder / f"{number}.placed").touch()
    except OSError as error:
        raise NotWritten(str(job.root), error.strerror or str(error)) from error


def _place_folder(job: Job) -> None:
    numbers = range(len(job.offer.files))
    staging = job.folder / _STAGING
    if job.target.exists() and not any(job.is_complete(number) for number in numbers):
        # The rename was the last thing an earlier run did.
        return
    staging.mkdir(exist_ok=True)
    for number in numbers:
        if job.part(number).exists():
            os.replace(job.part(number), job.staged(number))
    _move(staging, job.target)


def _move(source: Path, target: Path) -> None:
    """Rename, but never over something that was put there meanwhile."""
    if target.exists() and source.exists():
        raise Exists(target.name)
    if source.exists():
        os.rename(source, target)


def _plain(name: str) -> str:
    if name.startswith(".") or not is_safe_path(name) or "/" in name:
        raise BadName(name)
    return name


def jobs_on_disk(root: Path) -> Iterator[Job]:
    """The downloads an earlier run left, oldest first. What cannot be read is left alone."""
    for unfinished in (root / FOLDER).glob(f"*/.{_DESCRIPTION}.*.part"):
        unfinished.unlink(missing_ok=True)  # a kill -9 came between the writing of a description and its renaming
    found = []
    for description in (root / FOLDER).glob(f"*/{_DESCRIPTION}"):
        try:
            found.append(_read(description, root))
        except (OSError, ValueError, KeyError, TypeError, HubFault):
            continue
    yield from sorted(found, key=lambda job: job.created)


def _read(description: Path, root: Path) -> Job:
    content: Mapping[str, Any] = orjson.loads(description.read_bytes())
    if content["version"] != _VERSION or content["state"] not in _STATES:
        raise ValueError("not of this version")
    data = dict(content["offer"])
    files = tuple(RemoteFile(**file) for file in data.pop("files"))
    data["missing"] = tuple(data["missing"])
    for file in files:
        if not is_safe_path(file.path):
            raise BadName(file.path)
    job = Job(description.parent.name, Offer(files=files, **data), root, content["state"], float(content["created"]))
    job.problem = content["problem"] if isinstance(content["problem"], dict) else None
    return job
