"""Where a model stands, and one worker with the model it was started for. Knows nothing of how one follows another."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from webui.errors import WebUIError
from webui.load_options import loras_told
from webui.runtime.client import Client
from webui.runtime.supervisor import Worker
from webui.types import LoadSpec, ModelInfo

Stage = Literal["none", "loading", "ready", "failed"]


@dataclass(frozen=True, slots=True)
class ModelStatus:
    """Where the model stands. `sentence` is for a person; `code` and `values` let a page say it in its own language.

    `restarting`: this load is the automatic one after a crash; requests wait for it instead of being refused.
    """

    stage: Stage
    progress: float = 0.0
    sentence: str = ""
    info: ModelInfo | None = None
    spec: LoadSpec | None = None
    code: str = ""
    values: Mapping[str, object] = field(default_factory=dict)
    restarting: bool = False


NOTHING = ModelStatus("none", sentence="No model is loaded.", code="model_not_loaded")


def loading_status(spec: LoadSpec, progress: float = 0.0, *, restarting: bool = False) -> ModelStatus:
    name = spec.name or spec.path.replace("\\", "/").rsplit("/", 1)[-1]
    percent = round(progress * 100)
    sentence = f"Loading {name}: {percent} %."
    return ModelStatus(
        "loading",
        progress,
        f"The engine is being restarted. {sentence}" if restarting else sentence,
        spec=spec,
        code="engine_restarting" if restarting else "model_loading",
        values={"name": name, "percent": percent},
        restarting=restarting,
    )


def asleep_status(spec: LoadSpec) -> ModelStatus:
    name = spec.name or spec.path.replace("\\", "/").rsplit("/", 1)[-1]
    sentence = f"{name} was unloaded while nobody used it; it is loaded again when it is asked."
    return ModelStatus("none", sentence=sentence, spec=spec, code="model_asleep", values={"name": name})


def failed_status(spec: LoadSpec, error: WebUIError) -> ModelStatus:
    return ModelStatus("failed", sentence=error.message, spec=spec, code=error.code, values=error.values)


class Session:
    """One worker with the model it was started for."""

    def __init__(self, spec: LoadSpec, ready: asyncio.Future[ModelInfo], *, restarting: bool) -> None:
        self.spec = spec
        self.ready = ready
        self.restarting = restarting
        self.progress = 0.0
        self.worker: Worker
        self.client: Client

    @property
    def loaded_well(self) -> bool:
        return self.ready.done() and not self.ready.cancelled() and self.ready.exception() is None

    def settle(self, result: ModelInfo | WebUIError) -> None:
        """The load is over, one way or the other; who does not wait for it must not be told off for that."""
        if self.ready.done():
            return
        if isinstance(result, ModelInfo):
            self.ready.set_result(result)
        else:
            self.ready.set_exception(result)
            self.ready.exception()

    def loading(self) -> ModelStatus:
        return loading_status(self.spec, self.progress, restarting=self.restarting)

    def loaded(self, info: ModelInfo) -> ModelStatus:
        return ModelStatus("ready", 1.0, f"{info.name} is ready.", info, self.spec, "model_ready", {"name": info.name})

    def adapted(self, spec: LoadSpec) -> ModelStatus:
        """Ready as before, with the LoRA scales of this spec."""
        self.spec = spec
        return self.loaded(self.with_loras(self.ready.result()))

    def with_loras(self, info: ModelInfo) -> ModelInfo:
        """Its LoRAs stand in `extra`, for whoever keeps rows or says how an answer was made."""
        loras = loras_told(self.spec)
        return replace(info, extra={**info.extra, "loras": loras}) if loras else info

    def failed(self, error: WebUIError) -> ModelStatus:
        return failed_status(self.spec, error)
