"""The README's table of samplers, made from their declarations: `python -m webui.samplers.table [README.md]`.

Without a file the table is printed; with one, the part between the markers is replaced.
"""

from __future__ import annotations

import sys
from pathlib import Path

from webui.samplers.declare import Param, Sampler
from webui.samplers.describe import shown
from webui.samplers.registry import SAMPLERS

BEGIN = "<!-- samplers:begin -->"
END = "<!-- samplers:end -->"


def table() -> str:
    """Markdown, one row a sampler, in the order of lists."""
    rows = ["| sampler | what it does | values (default, legal range) | off at | rule |", "|---|---|---|---|---|"]
    rows += [_row(sampler) for sampler in SAMPLERS.values()]
    return "\n".join(rows)


def replaced(text: str) -> str:
    """A document with the part between the markers made anew."""
    before, found, rest = text.partition(BEGIN)
    _, closed, after = rest.partition(END)
    if not found or not closed:
        raise ValueError(f"there is no part between {BEGIN} and {END}")
    return f"{before}{BEGIN}\n{table()}\n{END}{after}"


def _row(sampler: Sampler) -> str:
    values = "<br>".join(_value(param) for param in sampler.params)
    off = ", ".join(f"{p.name} {shown(p, p.neutral)}" for p in sampler.params if p.neutral is not None)
    rule = sampler.formula.replace("{", "").replace("}", "")
    cells = (f"`{sampler.name}`", sampler.summary.en, values, off, f"`{rule}`")
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _value(param: Param) -> str:
    text = f"`{param.name}` {shown(param, param.default)}"
    if param.kind == "choice":
        return f"{text} ({', '.join(param.choices)})"
    if param.legal is None:
        return text
    low, high = param.legal
    return f"{text} ({low:g} to {'any' if high >= 10_000_000 else f'{high:g}'})"


def main(arguments: list[str]) -> None:
    if not arguments:
        print(table())
        return
    path = Path(arguments[0])
    path.write_text(replaced(path.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
