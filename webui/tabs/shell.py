"""What stands around the tabs: the name, the model's state, language and theme, the sheet of shortcuts.

One server function answers the status line; it also keeps language, theme, the first-run hint, which tab is open and
whether the list of chats is.
"""

from __future__ import annotations

import asyncio
from typing import Any

from webui.chosen import chain_problem
from webui.runtime.session import ModelStatus
from webui.services import Services
from webui.tabs.asking import Answer, Asked, server_function
from webui.tabs.pieces import StatusLine
from webui.tabs.words import Words

_KEPT = frozenset({"language", "theme", "hint_seen", "tab", "model_section", "chat_list"})


class Shell:
    def __init__(self, services: Services) -> None:
        self._services = services

    async def _ask_state(self, words: Words, asked: Asked) -> Answer:
        """The model's state; with {"keep": {name: value}} a preference is kept first."""
        preferences = self._services.preferences
        kept = asked.get("keep")
        if isinstance(kept, dict) and kept.keys() <= _KEPT:
            await asyncio.to_thread(lambda: preferences.set(**kept))
        return {
            **model_state(words, self._services.models.status()),
            "language": words.language,
            "languageChoice": preferences["language"],
            "theme": preferences["theme"],
            "hint": not preferences["hint_seen"],
            "notices": self._notices(words),
        }

    def _notices(self, words: Words) -> list[str]:
        """What the start could not do, or had to set aside."""
        services = self._services
        problem = services.problem
        notices = [words.problem(problem.code, problem.message, problem.values)] if problem else []
        aside = services.conversations.history.set_aside
        if aside is not None:
            notices.append(words("notice.chats_aside", name=aside.name))
        for kept, moved, lost in (
            (services.preferences, "notice.settings_aside", "notice.settings_ignored"),
            (services.model_settings, "notice.models_aside", "notice.models_ignored"),
        ):
            if kept.set_aside is not None:
                notices.append(words(moved, name=kept.set_aside.name))
            if kept.ignored:
                notices.append(words(lost, names=", ".join(kept.ignored)))
        chain = chain_problem(services.preferences)
        if chain is not None:
            notices.append(words("notice.chain_problem", reason=words.problem(chain.code, chain.message, chain.values)))
        order = services.fallback_settings.problem
        if order is not None:
            reason = words.problem(order.code, order.message, order.values)
            notices.append(words("notice.fallback_problem", reason=reason))
        return notices


def model_state(words: Words, status: ModelStatus) -> dict[str, Any]:
    """A model's state in words."""
    info = status.info
    if status.stage == "ready" and info is not None:
        text = info.name
        detail = words("status.ready.detail", n_ctx=info.n_ctx, slots=info.slots)
    elif status.stage == "loading":
        name = status.spec.name if status.spec and status.spec.name else words("status.model")
        key = "status.restarting" if status.restarting else "status.loading"
        text = words(key, name=name, percent=round(status.progress * 100))
        detail = ""
    elif status.stage == "failed":
        text = words("status.failed")
        detail = words.problem(status.code, status.sentence, status.values)
    elif status.code == "model_asleep":
        text = words("status.asleep", name=status.values["name"])
        detail = words.problem(status.code, status.sentence, status.values)
    else:
        text, detail = words("status.none"), words("status.none.detail")
    stage = "asleep" if status.code == "model_asleep" else status.stage
    return {"stage": stage, "progress": status.progress, "text": text, "detail": detail}


def build(services: Services) -> None:
    StatusLine(elem_id="status", server_functions=[server_function("status", services, Shell(services))])
