"""From a body to what the runtime is asked for. Refuses what cannot work; knows nothing of how the answer is sent."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from webui.api.answers import FINISH, Choice, Kind
from webui.api.chain import chain_of
from webui.api.errors import ApiError
from webui.api.logprobs import chat_logprobs, completion_logprobs
from webui.api.schemas import ChatBody, ChatMessage, CompletionBody, GenerationBody
from webui.chat.templates import render, template_of
from webui.errors import NoModel
from webui.services import Services
from webui.types import GenerationRequest, ModelInfo, Step

MAX_TOP = 20
DEFAULT_TOKENS = 512
LONG_CHAT = 50


@dataclass(frozen=True, slots=True)
class Prepared:
    """Everything that is known about an answer before its first token. `top` None: no probabilities."""

    kind: Kind
    requests: tuple[GenerationRequest, ...]
    chain: tuple[Step, ...]
    n: int
    stream: bool
    include_usage: bool
    echoes: tuple[str, ...]
    top: int | None = None

    @property
    def choices(self) -> int:
        return len(self.requests) * self.n

    def choice(self, number: int, choice: Choice) -> dict[str, Any]:
        """One choice of a whole answer."""
        assert choice.end is not None
        logprobs: Any = None
        echo = self.echoes[number // self.n]
        if self.top is not None and self.kind == "completion":
            logprobs = completion_logprobs(choice.tokens, self.top, len(echo))
        elif self.top is not None:
            logprobs = chat_logprobs(choice.tokens, self.top)
        said = {"text": echo + choice.text} if self.kind == "completion" else {"message": _message(choice.text)}
        end = choice.end
        return {
            "index": number,
            **said,
            "logprobs": logprobs,
            "finish_reason": FINISH[end.reason],
            "stop_reason": end.stop_string,
            "seed": end.seed,
        }


def _message(text: str) -> dict[str, Any]:
    return {"role": "assistant", "content": text, "refusal": None}


def model_of(services: Services) -> ModelInfo | None:
    """The loaded model, or None while it is being restarted; NoModel when there is none to wait for."""
    status = services.models.status()
    if status.info is None and status.stage == "none":
        raise NoModel("No model is loaded: load one first.")
    return status.info


async def completion_requests(services: Services, body: CompletionBody) -> Prepared:
    info = model_of(services)
    top = _top(body.logprobs)
    limit = DEFAULT_TOKENS if body.max_tokens is None else body.max_tokens
    if limit == 0 and not body.echo:
        raise ApiError(400, "max_tokens must be at least 1 (0 only with echo).", param="max_tokens")
    echoes: list[str] = []
    for prompt in body.prompt:
        _check_prompt(prompt, info)
        text = prompt if isinstance(prompt, str) or not body.echo else await services.models.detokenize(prompt)
        echoes.append(str(text) if body.echo else "")
    common = _common(body, info, top)
    requests = tuple(
        GenerationRequest(prompt, max_tokens=_tokens(limit), add_bos=body.add_bos_token is not False, **common)
        for prompt in body.prompt
    )
    return _prepared("completion", requests, body, tuple(echoes), top)


async def chat_request(services: Services, body: ChatBody) -> Prepared:
    info = model_of(services)
    if info is None:
        # Restarting after a crash: the template comes with the model, so wait for it here.
        await services.models.tokenize("")
        info = services.models.status().info
        assert info is not None
    top = _top(body.top_logprobs or 0) if body.logprobs else None
    messages = [_plain(message, place) for place, message in enumerate(body.messages)]
    prompt = await _render(messages, info)
    request = GenerationRequest(
        prompt,
        max_tokens=_tokens(body.max_tokens),
        add_bos=not (info.bos_token and prompt.startswith(info.bos_token)),
        **_common(body, info, top),
    )
    return _prepared("chat", (request,), body, ("",), top)


def _prepared(
    kind: Kind, requests: tuple[GenerationRequest, ...], body: GenerationBody, echoes: tuple[str, ...], top: int | None
) -> Prepared:
    return Prepared(
        kind,
        requests,
        requests[0].chain,
        body.n or 1,
        bool(body.stream),
        bool(body.stream_options and body.stream_options.include_usage),
        echoes,
        top,
    )


def _common(body: GenerationBody, info: ModelInfo | None, top: int | None) -> dict[str, Any]:
    return {
        "chain": chain_of(body.rest),
        "stop": body.stop,
        "ignore_eos": bool(body.ignore_eos),
        "seed": -1 if body.seed is None else body.seed,
        "n": body.n or 1,
        "alternatives": top or 0,
        "echo_special": body.skip_special_tokens is False,
    }


def _tokens(limit: int | None) -> int | None:
    return None if limit is None or limit < 0 else min(limit, 1 << 24)


def _top(value: int | None) -> int | None:
    if value is not None and not 0 <= value <= MAX_TOP:
        raise ApiError(400, f"top_logprobs must be from 0 to {MAX_TOP}, not {value}.", param="top_logprobs")
    return value


def _check_prompt(prompt: str | tuple[int, ...], info: ModelInfo | None) -> None:
    if info is None:
        return
    if prompt == "" and not (info.add_bos and info.bos_id >= 0):
        raise ApiError(400, "prompt is empty, and this model has no token to begin with.", param="prompt")


def _plain(message: ChatMessage, place: int) -> dict[str, Any]:
    """A message as templates want it: content as text."""
    role = "system" if message.role == "developer" else "tool" if message.role == "function" else message.role
    content = message.content
    if content is None:
        if role != "assistant":
            raise ApiError(400, f"messages[{place}].content is required.", param=f"messages[{place}].content")
        content = ""
    if isinstance(content, list):
        texts = []
        for number, part in enumerate(content):
            if part.type not in ("text", "input_text") or part.text is None:
                param = f"messages[{place}].content[{number}]"
                if part.type in ("image_url", "input_image"):
                    param += ".image_url"
                raise ApiError(400, f"This model reads text only, not {part.type[:40]!r}.", param=param)
            texts.append(part.text)
        content = "\n".join(texts)
    return {"role": role, "content": content}


async def _render(messages: Sequence[Mapping[str, Any]], info: ModelInfo) -> str:
    """A long chat takes milliseconds to render, and streams of others must not wait for that."""
    if len(messages) <= LONG_CHAT:
        return render(messages, template_of(info), bos=info.bos_token, eos=info.eos_token)
    return await asyncio.to_thread(render, messages, template_of(info), bos=info.bos_token, eos=info.eos_token)
