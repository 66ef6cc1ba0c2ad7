"""Names and addresses of models: what is understood, and that nothing leads elsewhere."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webui.hub.faults import HubFault, OtherSite
from webui.hub.reference import Reference, is_safe_path, parse


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("user/model", Reference("user/model")),
        ("  user/model-GGUF ", Reference("user/model-GGUF")),
        ("user/model:4.65bpw", Reference("user/model", "4.65bpw")),
        ("user/model:Q4_K_M", Reference("user/model", "Q4_K_M")),
        ("user/model/sub/file.gguf", Reference("user/model", path="sub/file.gguf")),
        ("user/model:dev/file.gguf", Reference("user/model", "dev", "file.gguf")),
        ("https://huggingface.co/user/model", Reference("user/model")),
        ("https://huggingface.co/user/model/", Reference("user/model")),
        ("https://huggingface.co/user/model/tree/4.0bpw", Reference("user/model", "4.0bpw")),
        ("https://huggingface.co/user/model/tree/main/BF16", Reference("user/model", path="BF16")),
        ("http://hf.co/user/model", Reference("user/model")),
        ("hf.co/user/model:Q5_K_S", Reference("user/model", "Q5_K_S")),
        ("huggingface.co/user/model", Reference("user/model")),
        (
            "https://huggingface.co/user/model/resolve/main/a%20b.gguf?download=true",
            Reference("user/model", path="a b.gguf"),
        ),
        ("https://huggingface.co/user/model/blob/v2/x/y.gguf#L1", Reference("user/model", "v2", "x/y.gguf")),
        ("https://huggingface.co/user/model/discussions/3", Reference("user/model")),
        ("hf download user/model file.gguf --local-dir x", Reference("user/model")),
        ("huggingface-cli download user/model file.gguf", Reference("user/model", path="file.gguf")),
        ("http://127.0.0.1:9/hub/user/model/tree/b", Reference("user/model", "b")),
    ],
)
def test_understood(text: str, expected: Reference) -> None:
    assert parse(text, "http://127.0.0.1:9/hub") == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "model",
        "a/b/../c",
        "../../x",
        "user/../model",
        "user/model:../x",
        "user/model:",
        "user/model:a b",
        "/etc/passwd",
        "C:\\models\\x.gguf",
        "user/model/..\\..\\x",
        "user/model/a\x00b",
        "us er/model",
        "file:///etc/passwd",
        "ftp://huggingface.co/user/model",
        "https://user:secret@huggingface.co/user/model",
        "https://huggingface.co/datasets/user/model",
        "https://huggingface.co/user",
        "https://huggingface.co:99999/user/model",
        "https://huggingface.co/user/model/resolve/main/%2e%2e/%2e%2e/x",
        "user/" + "m" * 97,
        "пользователь/модель",
        "x" * 3000,
    ],
)
def test_refused_with_one_sentence(text: str) -> None:
    with pytest.raises(HubFault) as caught:
        parse(text)
    assert caught.value.message.endswith(".") and "\n" not in caught.value.message


@pytest.mark.parametrize(
    "text",
    [
        "https://evil.example/user/model",
        "https://huggingface.co.evil.example/user/model",
        "https://huggingface.co@evil.example/user/model",
        "http://169.254.169.254/latest/meta-data",
        "https://huggingface.co:8443/user/model",
        "http://localhost:5000/user/model",
    ],
)
def test_other_sites_are_refused(text: str) -> None:
    with pytest.raises(HubFault) as caught:
        parse(text)
    assert caught.type is OtherSite or "@" in text


@given(st.text(max_size=60))
def test_any_text_is_understood_or_refused(text: str) -> None:
    try:
        found = parse(text)
    except HubFault:
        return
    assert found.repo.count("/") == 1 and ".." not in str(found)
    assert not found.path or is_safe_path(found.path)


@pytest.mark.parametrize("path", ["a/../b", "/a", "a//b", "..", ".", "a/.", "c:x", "a\\b", "a\nb", "~/x", "a ", "a./b"])
def test_unsafe_paths(path: str) -> None:
    assert not is_safe_path(path)
