"""Dialogues between two names, plain and inside an instruction."""

from __future__ import annotations

from typing import Any

import pytest

from webui.chat.characters import Card
from webui.chat.modes import Persona, dialogue, instruction, persona_of
from webui.chat.sandbox import TemplateFailed

ADA = Persona("Bob", "Ada", context="{{char}} counts; {{user}} asks.", greeting="Good day, {{user}}.")
HI: list[dict[str, Any]] = [{"role": "user", "content": "Hi"}]
CHAT = [*HI, {"role": "assistant", "content": "One, two"}]


def test_a_dialogue_is_what_the_names_said() -> None:
    made = dialogue([{"role": "system", "content": "Be kind."}, *HI], ADA)
    assert made.text == "Ada counts; Bob asks.\n\nBe kind.\n\nAda: Good day, Bob.\nBob: Hi\nAda:"
    assert (made.opening, made.stops) == ("Ada:", ("\nBob:", "\nAda:"))


def test_without_anything_there_are_two_names() -> None:
    assert dialogue(HI, Persona()).text == "You: Hi\nAI:"
    assert dialogue([], Persona()).text == "AI:"


def test_going_on_continues_the_characters_last_words() -> None:
    made = dialogue(CHAT, ADA, continue_last=True)
    assert made.text.endswith("Bob: Hi\nAda: One, two")
    assert made.opening == "Ada: One, two"
    assert dialogue(HI, ADA, continue_last=True).text.endswith("Bob: Hi\nAda:")  # it is the character's turn anyway
    assert dialogue(CHAT, ADA).text.endswith("Ada: One, two\nAda:")


def test_the_users_bio_and_the_last_words_have_their_places() -> None:
    persona = Persona("Bob", "Ada", context="Ada.", user_bio="{{user}} is old.", last_words="Stay, {{char}}.")
    assert dialogue(HI, persona).text == "Ada.\n\nBob is old.\n\nBob: Hi\nStay, Ada.\n\nAda:"


def test_names_are_not_read_as_marks() -> None:
    persona = Persona("{{char}}", "<USER>", context="{{user}} and {{char}}")
    assert dialogue(HI, persona).text == "{{char}} and <USER>\n\n{{char}}: Hi\n<USER>:"


def test_a_request_may_bring_the_form_of_the_dialogue() -> None:
    template = (
        "{{ user_bio }}{% for m in messages %}"
        "[{{ name1 if m.role == 'user' else name2 if m.role == 'assistant' else '*' }}] {{ m.content }}\n{% endfor %}"
    )
    persona = Persona("Bob", "Ada", context="C.", user_bio="Old. ", template=template)
    made = dialogue(CHAT, persona)
    assert made.text == "Old.[*] C.\n[Bob] Hi\n[Ada] One, two\n[Ada]"
    assert made.opening == "[Ada]"
    with pytest.raises(TemplateFailed):
        dialogue(CHAT, Persona(template="{% for"))


def test_chat_instruct_asks_the_model_to_go_on() -> None:
    made = dialogue(HI, ADA)
    (message,), opening = instruction(made, ADA)
    assert message["role"] == "user" and opening == "Ada:"
    assert '"Ada"' in message["content"]
    assert message["content"].endswith("\n\nAda counts; Bob asks.\n\nAda: Good day, Bob.\nBob: Hi")
    own = Persona("Bob", "<|prompt|>", command="As <|character|> after: <|prompt|>!")
    (message,), opening = instruction(dialogue([{"role": "user", "content": "<|character|>"}], own), own)
    assert message["content"] == "As <|prompt|> after: Bob: <|character|>!"
    (_,), opening = instruction(dialogue(CHAT, ADA, continue_last=True), ADA)
    assert opening == "Ada: One, two"


def test_a_card_talks() -> None:
    card = Card(
        "Ada L.", nickname="Ada", description="{{char}} counts.", greetings=("Hello, {{user}}.",), last_words="!"
    )
    assert dialogue(HI, persona_of(card, "Bob")).text == "Ada counts.\n\nAda: Hello, Bob.\nBob: Hi\n!\n\nAda:"
