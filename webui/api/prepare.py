"""From a body to what the runtime is asked for. Refuses what cannot work; knows nothing of how the answer is sent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from webui.api.answers import FINISH, Choice, Kind
from webui.api.chain import describe
from webui.api.errors import ApiError
from webui.api.logprobs import chat_logprobs, completion_logprobs
from webui.api.messages import Rendered, render_chat
from webui.api.options import Options, limit_of, read_options, top_of
from webui.api.schemas import ChatBody, CompletionBody, GenerationBody
from webui.errors import ContextExceeded, NoModel
from webui.runtime.models import Models
from webui.services import Services
from webui.types import GenerationRequest, ModelInfo, Step

DEFAULT_TOKENS = 512


@dataclass(frozen=True, slots=True)
class Prepared:
    """Everything that is known about an answer before its first token. `top` None: no probabilities."""

    kind: Kind
    requests: tuple[GenerationRequest, ...]
    chain: tuple[Step, ...]
    notes: tuple[str, ...]
    n: int
    stream: bool
    include_usage: bool
    echoes: tuple[str, ...]
    top: int | None = None

    def made(self) -> dict[str, Any]:
        """How the answer is made: the chain in force, and what was asked for without effect."""
        return {"chain": describe(self.chain), **({"not_applied": list(self.notes)} if self.notes else {})}

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
        said = {"text": echo + choice.text} if self.kind == "completion" else {"message": choice.message()}
        end = choice.end
        return {
            "index": number,
            **said,
            "logprobs": logprobs,
            "finish_reason": FINISH[end.reason],
            "stop_reason": end.stop_string,
            "seed": end.seed,
        }


async def model_of(models: Models) -> ModelInfo:
    """The loaded model; waits while the engine is being restarted, NoModel when there is nothing to wait for."""
    info = models.status().info
    if info is None:
        await models.tokenize("")
        info = models.status().info
    if info is None:
        raise NoModel("No model is loaded: choose one and load it.")
    return info


async def completion_requests(services: Services, body: CompletionBody) -> Prepared:
    info = await model_of(services.models)
    top = top_of(body.logprobs)
    limit = DEFAULT_TOKENS if body.max_tokens is None else body.max_tokens
    if body.auto_max_new_tokens:
        limit = -1
    if limit == 0 and not (body.echo or body.logprobs):
        raise ApiError(400, "max_tokens must be at least 1 (0 only with echo or logprobs).", param="max_tokens")
    options = read_options(body, info, top)
    prompts = [await _cut(services.models, prompt, body, limit, info) for prompt in body.prompt]
    echoes: list[str] = []
    for prompt in prompts:
        check_empty(prompt, info, body)
        text = prompt if isinstance(prompt, str) or not body.echo else await services.models.detokenize(prompt)
        echoes.append(str(text) if body.echo else "")
    requests = tuple(
        GenerationRequest(prompt, max_tokens=limit_of(limit), add_bos=body.add_bos_token is not False, **options.fields)
        for prompt in prompts
    )
    return prepared("completion", requests, body, options, echoes, top)


async def chat_request(services: Services, body: ChatBody) -> Prepared:
    info = await model_of(services.models)
    top = top_of(body.top_logprobs or 0) if body.logprobs else None
    if not body.logprobs:
        top_of(body.top_logprobs)
    options = read_options(body, info, top)
    rendered = await render_chat(body, info)
    return prepared("chat", (chat_generation(body, info, options, rendered),), body, options, [""], top)


def chat_generation(body: GenerationBody, info: ModelInfo, options: Options, rendered: Rendered) -> GenerationRequest:
    request = GenerationRequest(
        rendered.text,
        max_tokens=limit_of(body.max_tokens),
        add_bos=not (info.bos_token and rendered.text.startswith(info.bos_token)),
        reasoning="auto",
        **options.fields,
    )
    return replace(request, stop=(*request.stop, *rendered.stops)) if rendered.stops else request


def prepared(
    kind: Kind,
    requests: tuple[GenerationRequest, ...],
    body: GenerationBody,
    options: Options,
    echoes: Sequence[str],
    top: int | None,
) -> Prepared:
    return Prepared(
        kind,
        requests,
        options.chain,
        options.notes,
        body.n or 1,
        bool(body.stream),
        bool(body.stream_options and body.stream_options.include_usage),
        tuple(echoes),
        top,
    )


async def _cut(
    models: Models, prompt: str | tuple[int, ...], body: GenerationBody, limit: int, info: ModelInfo
) -> str | tuple[int, ...]:
    """truncation_length: the end of the prompt that leaves room for the answer. A length beyond the model's own context
    asks for nothing: what is too long for the model is an error, not something to lose silently."""
    length = body.truncation_length or 0
    if not 0 < length <= info.n_ctx or len(prompt) <= length - max(limit, 0):
        return prompt
    room = length - max(limit, 0)
    if room < 1:
        message = f"truncation_length ({length}) leaves no room for max_tokens ({limit})."
        raise ContextExceeded(message, param="truncation_length")
    bos = body.add_bos_token is not False and info.add_bos
    tokens = tuple(await models.tokenize(prompt, add_bos=bos) if isinstance(prompt, str) else prompt)
    if len(tokens) <= room:
        return prompt
    return (tokens[0], *tokens[len(tokens) - room + 1 :]) if bos and room > 1 else tokens[-room:]


def check_empty(prompt: str | tuple[int, ...], info: ModelInfo, body: GenerationBody) -> None:
    begins = info.add_bos and info.bos_id >= 0 and body.add_bos_token is not False
    if prompt == "" and not begins:
        raise ApiError(400, "prompt is empty, and there is no token to begin with.", param="prompt")
