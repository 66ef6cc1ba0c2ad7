"""What every declaration must have, the README's table, and the guide for adding a sampler."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from webui.errors import BadValue
from webui.samplers import SAMPLERS
from webui.samplers.declare import Sampler
from webui.samplers.order import NATURAL
from webui.samplers.table import replaced

ROOT = Path(__file__).resolve().parents[2]
WANTED = {
    "temperature", "dynamic_temperature", "quadratic", "top_k", "top_p", "min_p", "typical_p", "tfs", "top_a",
    "epsilon_cutoff", "eta_cutoff", "top_n_sigma", "p_less", "top_h", "xtc", "dry", "repetition_penalty",
    "presence_penalty", "frequency_penalty", "encoder_repetition_penalty", "no_repeat_ngram", "mirostat", "adaptive_p",
    "skew", "logit_bias", "token_bans", "ban_eos", "guidance", "sequence_bias",
}  # fmt: skip


def test_every_sampler_of_the_field_is_there() -> None:
    assert set(SAMPLERS) == WANTED == set(NATURAL)


@pytest.mark.parametrize("sampler", SAMPLERS.values(), ids=list(SAMPLERS))
def test_texts_exist_in_both_languages(sampler: Sampler) -> None:
    texts = [sampler.title, sampler.summary, *(t for p in sampler.params for t in (p.label, p.help))]
    for text in texts:
        assert text.en.strip() and text.ru.strip()
    for text in (sampler.summary, *(p.help for p in sampler.params)):
        assert re.search("[а-яё]", text.ru) and not re.search("[а-яё]", text.en)
        assert text.en.endswith(".") and text.ru.endswith(".")


@pytest.mark.parametrize("sampler", SAMPLERS.values(), ids=list(SAMPLERS))
def test_values_are_consistent(sampler: Sampler) -> None:
    assert any(param.neutral is not None for param in sampler.params), "it must be possible to turn it off"
    assert sampler.is_off(sampler.neutral())
    if sampler.name not in ("logit_bias", "sequence_bias", "token_bans"):
        assert not sampler.is_off(sampler.fill({})), "a stage just added should do something"
    for param in sampler.params:
        for value in (param.default, param.neutral):
            assert value is None or param.check(value) == value
        if param.slider and param.legal:
            assert param.legal[0] <= param.slider[0] < param.slider[1] <= param.legal[1]
    named = set(re.findall(r"\{(\w+)\}", sampler.formula))
    assert named <= {p.name for p in sampler.params}


@pytest.mark.parametrize("sampler", SAMPLERS.values(), ids=list(SAMPLERS))
def test_every_value_out_of_range_is_refused_by_name(sampler: Sampler) -> None:
    for param in sampler.params:
        bad: list[object] = [float("nan"), float("inf"), -float("inf"), None, object(), 10**400, b"x"]
        if param.legal:
            bad += [param.legal[0] - 0.01, param.legal[1] * 1.01 + 0.01, "1", True]
        for value in bad:
            with pytest.raises(BadValue) as caught:
                sampler.fill({param.name: value})
            assert caught.value.param == param.name
            assert param.name in caught.value.message and param.allowed in caught.value.message


def test_the_readme_is_current() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert replaced(text) == text, "run: python -m webui.samplers.table README.md"


def test_the_guide_for_adding_a_sampler_works(tmp_path: Path) -> None:
    """Its two files, put where it says, into a copy of what they need."""
    guide = (ROOT / "docs" / "adding-a-sampler.md").read_text(encoding="utf-8")
    files = re.findall(r"^`(\S+\.py)`\n\n```python\n(.*?)^```$", guide, re.MULTILINE | re.DOTALL)
    assert [name for name, _ in files] == [
        "webui/samplers/stages/widest_gap.py",
        "tests/samplers/test_widest_gap.py",
    ]
    shutil.copytree(ROOT / "webui" / "samplers", tmp_path / "webui" / "samplers")
    for name in ("__init__.py", "errors.py", "types.py", "files.py"):
        shutil.copy(ROOT / "webui" / name, tmp_path / "webui" / name)
    (tmp_path / "tests" / "samplers").mkdir(parents=True)
    for name, code in files:
        (tmp_path / name).write_text(code, encoding="utf-8")
    shutil.copy(ROOT / "tests" / "samplers" / "test_laws.py", tmp_path / "tests" / "samplers" / "test_laws.py")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests", "-k", "widest_gap"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    # Its own three tests, and two laws.
    assert "5 passed" in done.stdout
