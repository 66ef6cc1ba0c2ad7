"""The modes "chat" and "chat-instruct" of text-generation-webui's API: a dialogue between two names as plain text, or
that dialogue inside an instruction to go on with it. (Mode "instruct" is the model's own template: nothing to do here.)

Knows names, characters' texts and messages; which template a model has, and who asks, is others' business.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from webui.chat.characters import Card, context_of, fill_names, greeting_of
from webui.chat.templates_render import render

CHARACTER, TRANSCRIPT = "<|character|>", "<|prompt|>"
COMMAND = f'Below is a dialogue. Write the next reply of "{CHARACTER}", and nothing else.\n\n{TRANSCRIPT}'
DIALOGUE = (
    "{% for message in messages %}"
    "{% if message.role == 'system' %}{{ message.content ~ '\n\n' if message.content }}"
    "{% else %}{{ (name1 if message.role == 'user' else name2) ~ ': ' ~ message.content ~ '\n' }}{% endif %}"
    "{% endfor %}"
)
"""How a dialogue is written unless a request brings a template of its own; it may use name1, name2 and user_bio."""

_PLACES = re.compile(f"{re.escape(CHARACTER)}|{re.escape(TRANSCRIPT)}")
_END = "\ue000end\ue001"
"""Stands where the character is to go on, until the text is cut there; two characters nobody uses."""


@dataclass(frozen=True, slots=True)
class Persona:
    """Who talks. Marks like {{user}} and {{char}} in the texts are filled with the two names. `template` writes the
    dialogue, `command` is the instruction of chat-instruct; "" is ours."""

    user: str = "You"
    char: str = "AI"
    context: str = ""
    user_bio: str = ""
    greeting: str = ""
    last_words: str = ""
    template: str = ""
    command: str = ""


@dataclass(frozen=True, slots=True)
class Dialogue:
    """`text` ends where the character is to speak on; `transcript` and `opening` are its two parts, the latter from the
    character's name on. `stops` are where somebody else would speak."""

    transcript: str
    opening: str
    stops: tuple[str, ...]

    @property
    def text(self) -> str:
        return self.transcript + self.opening


def persona_of(card: Card, user: str = "You", *, recent: str = "") -> Persona:
    """A character from its card."""
    return Persona(
        user=user,
        char=card.spoken_name,
        context=context_of(card, user, recent=recent),
        greeting=greeting_of(card, user),
        last_words=fill_names(card.last_words, user=user, char=card.spoken_name),
    )


def dialogue(messages: Sequence[Mapping[str, Any]], persona: Persona, *, continue_last: bool = False) -> Dialogue:
    """Mode "chat". The character's context stands first, its greeting is its first message."""
    user, char = persona.user, persona.char

    def filled(text: str) -> str:
        return fill_names(text.strip(), user=user, char=char)

    # A bio has a place of its own where the template knows one.
    bio = "" if "user_bio" in persona.template else filled(persona.user_bio)
    given = [str(message["content"]).strip() for message in messages if message["role"] == "system"]
    system = "\n\n".join(part for part in (filled(persona.context), bio, *given) if part)
    spoken = [dict(message) for message in messages if message["role"] in ("user", "assistant")]
    if persona.greeting:
        spoken.insert(0, {"role": "assistant", "content": filled(persona.greeting)})
    last = spoken.pop()["content"] if continue_last and spoken and spoken[-1]["role"] == "assistant" else ""
    if persona.last_words:
        spoken.append({"role": "system", "content": filled(persona.last_words)})
    chat = [*([{"role": "system", "content": system}] if system else []), *spoken]
    extra = {"name1": user, "name2": char, "user_bio": filled(persona.user_bio)}
    before = _rendered(chat, persona.template, extra)
    whole = _rendered([*chat, {"role": "assistant", "content": f"{last}{_END}"}], persona.template, extra)
    whole = whole.partition(_END)[0].rstrip(" ")
    same = len(before) if whole.startswith(before) else whole.rfind("\n") + 1
    return Dialogue(whole[:same], whole[same:], (f"\n{user}:", f"\n{char}:"))


def instruction(written: Dialogue, persona: Persona) -> tuple[list[dict[str, Any]], str]:
    """Mode "chat-instruct": the messages for the model's own template, and what its reply begins with."""
    values = {CHARACTER: persona.char, TRANSCRIPT: written.transcript.strip()}
    command = _PLACES.sub(lambda place: values[place[0]], persona.command or COMMAND)
    return [{"role": "user", "content": command}], written.opening


def _rendered(chat: list[dict[str, Any]], template: str, extra: Mapping[str, str]) -> str:
    if not chat:
        return ""
    return render(chat, template or DIALOGUE, bos="", eos="", add_generation_prompt=False, **extra)
