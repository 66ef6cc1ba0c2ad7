"""Which architectures can be loaded to write text: those that llama.cpp knows, less those made for something else.

llama.cpp itself tells only by trying, in a process that may die of it; here nothing is loaded. Its library is a file in
which the names of its architectures stand, each ended by a zero byte.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

_LIBRARIES = ("libllama.so", "libllama.dylib", "llama.dll")

WRITES_NO_TEXT: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys(
            (
                "bert",
                "modern-bert",
                "nomic-bert",
                "nomic-bert-moe",
                "neo-bert",
                "jina-bert-v2",
                "jina-bert-v3",
                "eurobert",
                "gemma-embedding",
                "llama-embed",
            ),
            "makes_embeddings",
        ),
        **dict.fromkeys(("t5", "t5encoder"), "is_encoder"),
        **dict.fromkeys(("dream", "llada", "llada-moe", "rnd1"), "is_diffusion"),
        "wavtokenizer-dec": "makes_sound",
    }
)
"""Architectures that llama.cpp loads but that do not write one token after another, with the code of the reason."""


class EngineArchitectures:
    """What the llama.cpp that is installed knows. Looked up once for each name; the file is not held."""

    def __init__(self, library: Path | None = None) -> None:
        self._library = library
        self._answers: dict[str, bool] = {}

    def knows(self, architecture: str) -> bool:
        """Whether it can be loaded. True as well where nothing can be found out: then llama.cpp has the last word."""
        if architecture not in self._answers:
            self._answers[architecture] = self._look_up(architecture)
        return self._answers[architecture]

    def _look_up(self, architecture: str) -> bool:
        library = self._library or _installed()
        try:
            content = library.read_bytes() if library else b""
        except OSError:
            return True
        # A library without the name that every llama.cpp has keeps its names in a way that is not understood here.
        return b"llama\0" not in content or architecture.encode() + b"\0" in content


def _installed() -> Path | None:
    """The library beside llama-cpp-python, which is not imported for it."""
    spec = importlib.util.find_spec("llama_cpp")
    if spec is None or spec.origin is None:
        return None
    folder = Path(spec.origin).parent / "lib"
    return next((folder / name for name in _LIBRARIES if (folder / name).is_file()), None)
