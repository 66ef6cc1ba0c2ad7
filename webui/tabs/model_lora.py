"""LoRA files of a load: which ones fit the model, with which scales; their scales can change while it is loaded.

Knows nothing of memory estimates or of how a model is loaded.
"""

from __future__ import annotations

from webui.hub.library import Library, ModelEntry
from webui.tabs.asking import Answer
from webui.tabs.model_words import size_text
from webui.tabs.words import Words


def fitting(words: Words, library: Library, entry: ModelEntry) -> list[Answer]:
    """The LoRA files of the list that were made for this architecture."""
    own = entry.facts.architecture if entry.facts else ""
    found = [lora for lora in library.entries() if lora.kind == "lora" and lora.facts is not None]
    return [
        {
            "path": str(lora.path),
            "name": lora.name,
            "title": lora.facts.title if lora.facts else "",
            "size": size_text(words, lora.size_bytes),
        }
        for lora in found
        if lora.facts and lora.facts.architecture == own
    ]
