"""The sampler chain: pure numpy, one implementation for generation, API and Logits tab."""

from webui.samplers.balanced import BALANCED
from webui.samplers.chain import Chain
from webui.samplers.registry import SAMPLERS
from webui.samplers.state import Alternative, Figures, History, Pick, State, Vocabulary
from webui.samplers.trace import CompactTrace, Trace

__all__ = [
    "BALANCED",
    "SAMPLERS",
    "Alternative",
    "Chain",
    "CompactTrace",
    "Figures",
    "History",
    "Pick",
    "State",
    "Trace",
    "Vocabulary",
]
