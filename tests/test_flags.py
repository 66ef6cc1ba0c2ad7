"""Flags and CMD_FLAGS.txt, and the sentence each mistake gets."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from webui.errors import BadValue
from webui.flags import as_rows, build_parser, convert, default_in_words, flags_table, name_of, read_flags
from webui.settings import ROOT, Settings


def sentence(*arguments: str, file: Path | None = None) -> str:
    with pytest.raises(BadValue) as caught:
        read_flags(arguments, file)
    assert "\n" not in caught.value.message
    return caught.value.message


@pytest.fixture
def flags_file(tmp_path: Path) -> Path:
    return tmp_path / "CMD_FLAGS.txt"


def test_without_flags_everything_has_its_default() -> None:
    assert read_flags([], None) == Settings()


@pytest.mark.parametrize("item", fields(Settings), ids=lambda item: item.name)
def test_every_flag_is_accepted_reaches_its_setting_and_stands_in_help(item: object, tmp_path: Path) -> None:
    from dataclasses import Field

    assert isinstance(item, Field)
    by_kind: dict[type, tuple[list[str], object]] = {
        bool: ([], True),
        int: (["64"], 64),
        str: (["a:b"], "a:b"),
        tuple: ([str(tmp_path)], (tmp_path,)),
    }
    values, expected = by_kind.get(type(item.default), ([str(tmp_path)], tmp_path))
    if item.name == "api_cors_origin":
        values, expected = ["https://a.example:3000"], "https://a.example:3000"
    extra = {"listen": ["--gradio-auth", "u:p"], "admin_key": ["--api-key", "k"]}.get(item.name, [])
    for name in (name_of(item), *item.metadata["aliases"], name_of(item).replace("-", "_").replace("__", "--", 1)):
        assert getattr(read_flags([name, *values, *extra], None), item.name) == expected
    help_text = build_parser().format_help()
    assert name_of(item) in help_text
    assert f"default: {default_in_words(item)}".split()[0] in help_text


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--port", "99999"], ["--port", "99999", "1", "65535"]),
        (["--port", "abc"], ["--port", "abc", "65535"]),
        (["--port", "0"], ["--port", "0"]),
        (["--port", "٣"], ["--port", "٣"]),
        (["--n-ctx", "-1"], ["--n-ctx", "-1", "64"]),
        (["--n-ctx", "1e12"], ["--n-ctx", "1e12"]),
        (["--n-ctx", "9" * 5000], ["--n-ctx"]),
        (["--n-gpu-layers", "x"], ["--n-gpu-layers", "x", "-1"]),
        (["--threads", "100000"], ["--threads", "100000", "512"]),
        (["--parallel", "-2"], ["--parallel", "-2"]),
        (["--api-key", ""], ["--api-key", "empty"]),
        (["--api-key"], ["--api-key", "needs a value"]),
        (["--gradio-auth", "me"], ["--gradio-auth", "user:password"]),
        (["--gradio-auth", "me:"], ["--gradio-auth", "user:password"]),
        (["--foo"], ["--foo", "--help"]),
        (["--modle", "x"], ["--modle", "did you mean --model"]),
        (["stray"], ["'stray'"]),
        (["--model-dir", "/no/such/folder"], ["--model-dir", "/no/such/folder"]),
        (["--data-dir", __file__], ["--data-dir", "folder is wanted"]),
        (["--data-dir", "a\0b"], ["--data-dir"]),
        (["--api", "--port", "5000"], ["--port", "--api-port", "5000"]),
        (["--admin-key", "k"], ["--admin-key", "--api-key"]),
        (["--api-key", "ключ"], ["--api-key", "ASCII"]),
        (["--api-key", "@/no/such/file"], ["--api-key", "/no/such/file"]),
        (["--api-cors-origin", "*"], ["--api-cors-origin", "*"]),
        (["--api-cors-origin", "https://a.example/path"], ["--api-cors-origin", "https://a.example/path"]),
        (["--listen"], ["--listen", "--gradio-auth"]),
        (["--listen", "--nowebui"], ["--listen", "--api-key"]),
        (["--listen", "--gradio-auth", "u:p", "--api"], ["--listen", "--api-key"]),
    ],
)
def test_a_mistake_names_flag_value_and_what_is_allowed(arguments: list[str], named: list[str]) -> None:
    message = sentence(*arguments)
    assert all(part in message for part in named), message


def test_opening_to_the_network_needs_only_what_is_served() -> None:
    assert read_flags(["--listen", "--gradio-auth", "u:p"], None).host == "0.0.0.0"
    assert read_flags(["--listen", "--nowebui", "--api-key", "k"], None).host == "0.0.0.0"
    assert Settings().host == "127.0.0.1"


def test_logins_may_be_several_and_hold_colons() -> None:
    settings = read_flags(["--gradio-auth", "ann:a:b, bob:c"], None)
    assert settings.logins == (("ann", "a:b"), ("bob", "c"))


def test_model_folders_may_be_several(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    settings = read_flags(["--model-dir", str(tmp_path), "--model-dir", str(tmp_path / "a")], None)
    assert settings.model_dir == (tmp_path, tmp_path / "a")


def test_relative_folders_mean_the_folder_the_user_stands_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert read_flags(["--data-dir", "мои данные"], None).data_dir == tmp_path / "мои данные"


def test_the_file_is_read_first_and_the_command_line_wins(flags_file: Path) -> None:
    flags_file.write_text(
        "# my flags\n\n--port 7000 --api   # the usual\n--api-key 'a key # with a mark'\n--model C:\\models\\x.gguf\n",
        encoding="utf-8",
    )
    settings = read_flags(["--port", "8000", "--no-api"], flags_file)
    assert (settings.port, settings.api, settings.api_key) == (8000, False, "a key # with a mark")
    assert settings.model == "C:\\models\\x.gguf"
    assert read_flags([], flags_file).port == 7000


def test_the_file_may_have_a_byte_order_mark_and_windows_lines(flags_file: Path) -> None:
    flags_file.write_bytes(b"\xef\xbb\xbf--port 7001\r\n--verbose\r\n")
    settings = read_flags([], flags_file)
    assert (settings.port, settings.verbose) == (7001, True)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("--verbose\n--port x\n", ["CMD_FLAGS.txt", "line 2", "--port x"]),
        ("--api-key 'open\n", ["CMD_FLAGS.txt", "line 1", "quotation mark"]),
        ("--nope\n", ["CMD_FLAGS.txt", "line 1", "--nope"]),
    ],
)
def test_mistakes_in_the_file_name_its_line(flags_file: Path, text: str, named: list[str]) -> None:
    flags_file.write_text(text)
    message = sentence(file=flags_file)
    assert all(part in message for part in named), message


def test_a_file_that_is_no_text_is_a_sentence(flags_file: Path) -> None:
    flags_file.write_bytes(b"\xff\xfe-\x00-\x00")
    assert "UTF-8" in sentence(file=flags_file)


def test_the_table_and_the_rows_hold_every_flag() -> None:
    table, rows = flags_table(), as_rows(Settings())
    for item in fields(Settings):
        assert f"`{name_of(item)}" in table
        assert any(row["flag"] == name_of(item) for row in rows)


def test_keys_come_from_a_file_or_the_environment_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "key").write_text(" from-file\n", encoding="utf-8")
    assert read_flags(["--api-key", f"@{tmp_path / 'key'}"], None).api_key == "from-file"
    monkeypatch.setenv("SAMPLER_LAB_API_KEY", "from-environment")
    assert read_flags(["--listen", "--nowebui"], None).api_key == "from-environment"
    assert read_flags(["--api-key", "given"], None).api_key == "given"


def test_readme_has_the_table_as_it_is_now() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    start, end = "<!-- flags: made from webui/settings.py -->\n", "\n<!-- flags end -->"
    assert readme.split(start)[1].split(end)[0] == flags_table()


def test_defaults_are_allowed_values() -> None:
    for item in fields(Settings):
        if isinstance(item.default, int) and not isinstance(item.default, bool):
            assert convert(item, str(item.default)) == item.default
