"""What can be downloaded and what is being downloaded, in the visitor's words. Pure; asks no hub and writes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from webui.hub.advice import Offer, fit
from webui.hub.facts import ModelFacts
from webui.hub.faults import HubFault, NoFile
from webui.hub.jobs import Job
from webui.hub.machine import Machine
from webui.hub.quants import in_words
from webui.hub.queue import JobView
from webui.hub.search import Found
from webui.tabs.asking import Answer
from webui.tabs.model_words import size_text
from webui.tabs.words import Words

_FOR_NVIDIA = frozenset({"exl2", "gptq"})


def time_text(words: Words, seconds: float) -> str:
    if seconds < 90:
        return words("downloads.seconds", n=max(1, round(seconds)))
    if seconds < 90 * 60:
        return words("downloads.minutes", n=round(seconds / 60))
    return words("downloads.hours", n=words.number(seconds / 3600, 1))


def found_row(words: Words, found: Found) -> Answer:
    """One model of a search."""
    parameters = ""
    if found.parameters:
        billions = found.parameters >= 10**9
        number = words.number(found.parameters / (1e9 if billions else 1e6), 1 if billions else 0)
        parameters = words("unit.billion" if billions else "unit.million", n=number)
    return {
        "repo": found.repo,
        "likes": found.likes,
        "downloads": found.downloads,
        "gated": found.gated,
        "updated": found.updated,
        "parameters": parameters,
        "architecture": found.architecture,
    }


def key_of(offer: Offer) -> str:
    """What tells an offer from the others of its repository, also after a look at it again."""
    return f"{offer.revision}:{offer.files[0].path}"


def offer_row(
    words: Words, offer: Offer, machine: Machine, facts: ModelFacts | None, context: int, root: Path, busy: set[str]
) -> Answer:
    """One thing that can be downloaded as a whole, with its word of advice and whether it fits here."""
    missing = NoFile(offer.repo, offer.missing[0]) if offer.missing else None
    return {
        "key": key_of(offer),
        "title": offer.title,
        "kind": offer.kind,
        "quantisation": offer.quantisation,
        "words": in_words(offer.bits, words.language) if offer.bits else "",
        "advice": words(f"offer.{offer.advice}"),
        "size": size_text(words, offer.size),
        "files": [file.path for file in offer.files],
        "wanted": offer.wanted,
        "missing": words.problem(missing.code, missing.message, missing.values) if missing else "",
        "fit": _fit(words, offer, machine, facts, context),
        "state": "queued" if key_of(offer) in busy else "here" if _is_here(offer, root) else "",
    }


def _fit(words: Words, offer: Offer, machine: Machine, facts: ModelFacts | None, context: int) -> Answer | None:
    if offer.kind in _FOR_NVIDIA and not machine.gpus:
        return {"code": "too_large", "title": words("offer.exl2")}
    judged = fit(offer, machine, facts, context)
    if judged is None:
        return None
    texts = {f"{name}_text": size_text(words, judged.values[name]) for name in ("need", "free")}
    return {"code": judged.code, "title": words(f"fit.{judged.code}.{judged.values['where']}", **texts)}


def _is_here(offer: Offer, root: Path) -> bool:
    try:
        return Job("", offer, root).target.exists()
    except HubFault:
        return False  # a name that leads elsewhere; the download itself says so


def job_rows(words: Words, views: Sequence[JobView], loadable: set[Path]) -> list[Answer]:
    """The list of downloads. Of those that wait each is told its place."""
    waiting = [view.id for view in views if view.state == "waiting"]
    rows = []
    for view in views:
        amount = words("downloads.of", done=size_text(words, view.done), total=size_text(words, view.total))
        parts = [size_text(words, view.total) if view.state == "done" else amount]
        if view.speed:
            parts.append(words("downloads.speed", n=size_text(words, view.speed)))
        if view.seconds_left is not None:
            parts.append(words("downloads.left", n=time_text(words, view.seconds_left)))
        notice = view.notice
        rows.append(
            {
                "id": view.id,
                "title": view.title,
                "repo": view.repo,
                "state": view.state,
                "share": view.share,
                "text": " · ".join(parts),
                "problem": words.problem(view.code, view.problem, view.values) if view.problem else "",
                "code": view.code,
                "notice": words.problem(notice.code, notice.message, notice.values) if notice else "",
                "place": waiting.index(view.id) + 1 if view.id in waiting else 0,
                "path": str(view.path),
                "loadable": view.path in loadable,
            }
        )
    return rows
