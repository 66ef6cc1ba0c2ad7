from __future__ import annotations

import math

import pytest

from webui.errors import BadValue
from webui.load_options import OPTIONS, check_spec, maps_weights
from webui.types import LoadSpec


def test_defaults_pass_and_fill_every_option():
    values = check_spec(LoadSpec("model.gguf"))
    assert values == {option.name: option.default for option in OPTIONS}


BAD = [
    ({"threads": 100000}, "threads"),
    ({"threads": -1}, "threads"),
    ({"n_batch": -1}, "n_batch"),
    ({"n_batch": 64}, "n_batch"),
    ({"n_ctx": -1}, "n_ctx"),
    ({"n_ctx": 10}, "n_ctx"),
    ({"n_ctx": 10**12}, "n_ctx"),
    ({"n_ctx": 4096.5}, "n_ctx"),
    ({"slots": 65}, "slots"),
    ({"slots": True}, "slots"),
    ({"n_gpu_layers": -2}, "n_gpu_layers"),
    ({"options": {"kv_type": "q2_k"}}, "kv_type"),
    ({"options": {"kv_type": 9999}}, "kv_type"),
    ({"options": {"kv_type": "q8_0", "flash_attention": "off"}}, "kv_type"),
    ({"options": {"flash_attention": 1}}, "flash_attention"),
    ({"options": {"mmap": "yes"}}, "mmap"),
    ({"options": {"tensor_split": [1, -1]}}, "tensor_split"),
    ({"options": {"tensor_split": [1] * 100}}, "tensor_split"),
    ({"options": {"rope_base": math.nan}}, "rope_base"),
    ({"options": {"loras": ["a.gguf"]}}, "loras"),
    ({"options": {"loras": [{"path": "a.gguf", "scale": 99}]}}, "scale"),
    ({"options": {"trust_remote_code": True}}, "trust_remote_code"),
]


@pytest.mark.parametrize(("fields", "param"), BAD, ids=[str(fields)[:40] for fields, _ in BAD])
def test_what_would_kill_the_engine_is_named(fields, param):
    with pytest.raises(BadValue) as caught:
        check_spec(LoadSpec("model.gguf", **fields))
    assert caught.value.param == param


def test_loras_come_out_as_pairs():
    spec = LoadSpec("m", options={"loras": [{"path": "a.gguf"}, {"path": "b.gguf", "scale": 0.5}]})
    assert check_spec(spec)["loras"] == (("a.gguf", 1.0), ("b.gguf", 0.5))


@pytest.mark.parametrize(("given", "meant"), [(True, "on"), (False, "off"), ("auto", "auto")])
def test_a_word_for_on_and_off_may_be_a_plain_yes_or_no(given, meant):
    assert check_spec(LoadSpec("m", options={"mmap": given}))["mmap"] == meant


def test_weights_are_read_where_they_leave_half_of_the_memory(monkeypatch):
    monkeypatch.setattr("sys.platform", "linux")
    assert maps_weights("auto", 51, 100, cpu_only=True)
    assert not maps_weights("auto", 50, 100, cpu_only=True)
    assert maps_weights("auto", 50, 100, cpu_only=False)
    assert maps_weights("on", 1, 100, cpu_only=True) and not maps_weights("off", 99, 100, cpu_only=False)
    monkeypatch.setattr("sys.platform", "win32")
    assert maps_weights("auto", 1, 100, cpu_only=True)
