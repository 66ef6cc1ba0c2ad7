"""How weights are stored: the tensor types of GGUF with their exact sizes, and the quantisations people choose.

Plain tables and the few functions that read them. Knows nothing of files.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class TensorType:
    """One storage format: `block` weights take `size` bytes."""

    name: str
    block: int
    size: int

    @property
    def bits(self) -> float:
        return 8 * self.size / self.block


TENSOR_TYPES: Mapping[int, TensorType] = MappingProxyType(
    {
        0: TensorType("F32", 1, 4),
        1: TensorType("F16", 1, 2),
        2: TensorType("Q4_0", 32, 18),
        3: TensorType("Q4_1", 32, 20),
        6: TensorType("Q5_0", 32, 22),
        7: TensorType("Q5_1", 32, 24),
        8: TensorType("Q8_0", 32, 34),
        9: TensorType("Q8_1", 32, 36),
        10: TensorType("Q2_K", 256, 84),
        11: TensorType("Q3_K", 256, 110),
        12: TensorType("Q4_K", 256, 144),
        13: TensorType("Q5_K", 256, 176),
        14: TensorType("Q6_K", 256, 210),
        15: TensorType("Q8_K", 256, 292),
        16: TensorType("IQ2_XXS", 256, 66),
        17: TensorType("IQ2_XS", 256, 74),
        18: TensorType("IQ3_XXS", 256, 98),
        19: TensorType("IQ1_S", 256, 50),
        20: TensorType("IQ4_NL", 32, 18),
        21: TensorType("IQ3_S", 256, 110),
        22: TensorType("IQ2_S", 256, 82),
        23: TensorType("IQ4_XS", 256, 136),
        24: TensorType("I8", 1, 1),
        25: TensorType("I16", 1, 2),
        26: TensorType("I32", 1, 4),
        27: TensorType("I64", 1, 8),
        28: TensorType("F64", 1, 8),
        29: TensorType("IQ1_M", 256, 56),
        30: TensorType("BF16", 1, 2),
        34: TensorType("TQ1_0", 256, 54),
        35: TensorType("TQ2_0", 256, 66),
        39: TensorType("MXFP4", 32, 17),
        40: TensorType("NVFP4", 64, 36),
        41: TensorType("Q1_0", 128, 18),
    }
)

FILE_TYPES: Mapping[int, str] = MappingProxyType(
    {
        0: "F32",
        1: "F16",
        2: "Q4_0",
        3: "Q4_1",
        7: "Q8_0",
        8: "Q5_0",
        9: "Q5_1",
        10: "Q2_K",
        11: "Q3_K_S",
        12: "Q3_K_M",
        13: "Q3_K_L",
        14: "Q4_K_S",
        15: "Q4_K_M",
        16: "Q5_K_S",
        17: "Q5_K_M",
        18: "Q6_K",
        19: "IQ2_XXS",
        20: "IQ2_XS",
        21: "Q2_K_S",
        22: "IQ3_XS",
        23: "IQ3_XXS",
        24: "IQ1_S",
        25: "IQ4_NL",
        26: "IQ3_S",
        27: "IQ3_M",
        28: "IQ2_S",
        29: "IQ2_M",
        30: "IQ4_XS",
        31: "IQ1_M",
        32: "BF16",
        36: "TQ1_0",
        37: "TQ2_0",
        38: "MXFP4_MOE",
        39: "NVFP4",
        40: "Q1_0",
    }
)

BITS: Mapping[str, float] = MappingProxyType(
    {
        "F32": 32.0,
        "F16": 16.0,
        "BF16": 16.0,
        "Q8_0": 8.5,
        "Q6_K": 6.56,
        "Q5_K_M": 5.69,
        "Q5_K_S": 5.54,
        "Q5_1": 6.0,
        "Q5_0": 5.5,
        "Q4_K_M": 4.85,
        "Q4_K_S": 4.58,
        "Q4_1": 5.0,
        "Q4_0": 4.55,
        "IQ4_NL": 4.5,
        "IQ4_XS": 4.25,
        "Q3_K_L": 4.27,
        "Q3_K_M": 3.91,
        "Q3_K_S": 3.5,
        "IQ3_M": 3.66,
        "IQ3_S": 3.44,
        "IQ3_XS": 3.3,
        "IQ3_XXS": 3.06,
        "Q2_K": 3.0,
        "Q2_K_S": 2.7,
        "IQ2_M": 2.7,
        "IQ2_S": 2.5,
        "IQ2_XS": 2.31,
        "IQ2_XXS": 2.06,
        "IQ1_M": 1.75,
        "IQ1_S": 1.56,
        "TQ2_0": 2.06,
        "TQ1_0": 1.69,
        "Q1_0": 1.13,
        "MXFP4": 4.25,
        "MXFP4_MOE": 4.25,
        "NVFP4": 4.5,
    }
)
"""Typical bits per weight of a whole file; what a file really has comes from its tensor list."""

_WORDS: tuple[tuple[float, str, str], ...] = (
    (12.0, "unquantised; the full quality, very large", "без квантования; полное качество, очень большой"),
    (7.5, "8-bit, as good as the original", "8 бит, не отличить от оригинала"),
    (6.2, "6-bit, hardly any loss", "6 бит, потерь почти нет"),
    (5.2, "5-bit, a very small loss", "5 бит, очень малые потери"),
    (4.4, "4-bit, the usual choice: good quality for its size", "4 бита, обычный выбор: хорошее качество для размера"),
    (4.0, "4-bit, small, still good", "4 бита, компактный, ещё хороший"),
    (3.2, "3-bit, a visible loss", "3 бита, потери заметны"),
    (
        2.4,
        "2-bit, a large loss; only to make a big model fit",
        "2 бита, большие потери; лишь чтобы поместить большую модель",
    ),
    (0.0, "under 2.4 bits, a very large loss", "меньше 2,4 бита, очень большие потери"),
)


def in_words(bits: float, language: str = "en") -> str:
    """A word of advice about a quantisation of so many bits per weight, in English or Russian."""
    for least, english, russian in _WORDS:
        if bits >= least:
            return russian if language == "ru" else english
    raise ValueError(f"bits per weight must not be negative: {bits}")


def quantisation_in(filename: str) -> str | None:
    """The quantisation a file name promises ("x-Q4_K_M.gguf" gives "Q4_K_M"), None if it names none."""
    parts = filename.upper().replace("-", ".").replace("/", ".").split(".")
    for part in reversed(parts):
        known = part.removeprefix("UD_").removeprefix("I1_")
        if known in BITS:
            return known
        for name in sorted(BITS, key=len, reverse=True):
            if known.endswith("_" + name) or known.startswith(name + "_"):
                return name
    return {"FP16": "F16", "FP32": "F32"}.get(parts[-2] if len(parts) > 1 else "")
