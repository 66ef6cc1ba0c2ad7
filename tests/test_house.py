"""The rules of the house that a machine can check, over all files git knows."""

from __future__ import annotations

import ast
import re
import statistics
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from webui.settings import ROOT

LONGEST_FILE, MEDIAN_FILE = 400, 200
LONGEST_FUNCTION, USUAL_FUNCTION = 80, 45
FORBIDDEN_CALLS = {
    "eval",
    "exec",
    "compile",
    "pickle.load",
    "pickle.loads",
    "yaml.load",
    "torch.load",
    "os.system",
    "marshal.loads",
}


@cache
def tracked() -> tuple[Path, ...]:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    return tuple(path for name in listed.stdout.decode().split("\0") if name and (path := ROOT / name).is_file())


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@cache
def sources(*folders: str) -> tuple[tuple[str, ast.Module, str], ...]:
    """(name, tree, text) of every Python file below these folders."""
    found = []
    for path in tracked():
        if path.suffix == ".py" and name(path).split("/")[0] in folders:
            text = path.read_text(encoding="utf-8")
            found.append((name(path), ast.parse(text), text))
    assert found
    return tuple(found)


def functions(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node


def length(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of its own: functions inside it (the routes of a router) count for themselves."""
    lines: set[int] = set()
    for inner in ast.walk(node):
        if inner is not node and isinstance(inner, (ast.FunctionDef, ast.AsyncFunctionDef)):
            assert inner.end_lineno is not None
            lines |= set(range(inner.lineno, inner.end_lineno + 1))
    assert node.end_lineno is not None
    return node.end_lineno - node.lineno + 1 - len(lines)


def test_files_can_be_held_in_the_head() -> None:
    lines = {where: text.count("\n") for where, _, text in sources("webui")}
    assert {where: count for where, count in lines.items() if count > LONGEST_FILE} == {}
    assert statistics.median(count for count in lines.values() if count) <= MEDIAN_FILE


def test_functions_fit_a_screen() -> None:
    sizes = {f"{where}:{node.name}": length(node) for where, tree, _ in sources("webui") for node in functions(tree)}
    assert {where: size for where, size in sizes.items() if size > LONGEST_FUNCTION} == {}
    assert statistics.quantiles(sizes.values(), n=20)[-1] <= USUAL_FUNCTION


def test_every_module_says_what_it_is_for() -> None:
    assert [where for where, tree, text in sources("webui") if text.strip() and not ast.get_docstring(tree)] == []


def test_every_function_is_annotated() -> None:
    missing = []
    for where, tree, _ in sources("webui", "benchmarks"):
        for node in functions(tree):
            arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
            bare = [a.arg for a in arguments if a.annotation is None and a.arg not in ("self", "cls", "mcs")]
            if bare or node.returns is None:
                missing.append(f"{where}:{node.lineno} {node.name} {bare}")
    assert missing == []


def test_nothing_runs_code_from_data() -> None:
    found = []
    for where, tree, _ in sources("webui", "benchmarks"):
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call):
                continue
            called = ast.unparse(node.func)
            shell = any(word.arg == "shell" and ast.unparse(word.value) != "False" for word in node.keywords)
            unchecked = any(word.arg == "verify" and ast.unparse(word.value) == "False" for word in node.keywords)
            if called in FORBIDDEN_CALLS or shell or unchecked:
                found.append(f"{where}:{node.lineno} {called}")
    assert found == []


def test_no_module_keeps_state_that_changes() -> None:
    """A list, dict or set built at module level is shared by everything: constants are tuples, frozensets, mappings."""
    found = []
    for where, tree, _ in sources("webui"):
        for node in tree.body:
            if isinstance(node, (ast.Assign, ast.AnnAssign)) and isinstance(
                node.value, (ast.List, ast.Set, ast.ListComp)
            ):
                target = node.targets[0] if isinstance(node, ast.Assign) else node.target
                if ast.unparse(target) != "__all__":
                    found.append(f"{where}:{node.lineno} {ast.unparse(target)}")
        found += [f"{where}:{node.lineno} global" for node in ast.walk(tree) if isinstance(node, ast.Global)]
    assert found == []


def test_broad_excepts_never_swallow() -> None:
    """`except Exception` must raise again, log or turn the error into something that is returned or kept."""
    found = []
    for where, tree, _ in sources("webui"):
        for node in ast.walk(tree):
            if isinstance(node, ast.ExceptHandler) and (
                node.type is None or ast.unparse(node.type) in ("Exception", "BaseException")
            ):
                body = [
                    item
                    for item in node.body
                    if not isinstance(item, ast.Expr) or not isinstance(item.value, ast.Constant)
                ]
                if all(isinstance(item, (ast.Pass, ast.Continue)) for item in body):
                    found.append(f"{where}:{node.lineno}")
    assert found == []


def test_files_name_nothing_of_one_machine() -> None:
    places = re.compile(r"(?<![\w.])/(?:work|root|home/\w+|Users/\w+|tmp/\w+)/")
    found = []
    for path in tracked():
        if path.suffix in (".py", ".md", ".toml", ".txt", ".sh", ".js", ".css", ".json", ".yaml", ""):
            text = path.read_text(encoding="utf-8", errors="replace")
            found += [f"{name(path)}: {match[0]}" for match in places.finditer(text) if path != Path(__file__)]
    assert found == []


def test_python_3_10_can_read_every_file_of_the_program() -> None:
    for where, _, text in sources("webui"):
        try:
            ast.parse(text, feature_version=(3, 10))
        except SyntaxError as error:
            pytest.fail(f"{where}: {error}")


def test_the_bootstrap_needs_the_standard_library_only() -> None:
    import sys

    allowed = set(sys.stdlib_module_names) | {"webui"}
    found = []
    for where, tree, _ in sources("webui"):
        if not where.startswith("webui/bootstrap/"):
            continue
        for node in ast.walk(tree):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            found += [f"{where}: {n}" for n in names if n.split(".")[0] not in allowed]
            found += [f"{where}: {n}" for n in names if n.startswith("webui") and not n.startswith("webui.bootstrap")]
    assert found == []


def test_every_module_has_its_place_in_the_import_contract() -> None:
    config = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    layers = set(re.findall(r"webui\.\w+", config.split("layers = [", 1)[1].split("]", 1)[0]))
    packages = {"webui." + where.split("/")[1] for where, _, _ in sources("webui") if where.count("/") > 1}
    assert packages - layers == {"webui.bootstrap"}, "a new package belongs into the layers of pyproject.toml"


def test_licence_changelog_and_design_are_there() -> None:
    assert "Sampler Lab contributors" in (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert (ROOT / "CHANGELOG.md").read_text(encoding="utf-8").startswith("# Changelog")
    tree = (ROOT / "README.md").read_text(encoding="utf-8")
    missing = [
        part
        for part in {where.split("/")[1] for where, _, _ in sources("webui") if where.count("/") > 1}
        if part not in tree
    ]
    assert missing == [], "README's file tree names every part"


def test_pictures_and_links_of_the_readers_exist() -> None:
    missing = []
    for page in ("README.md", "CHANGELOG.md", "docs/DESIGN.md"):
        for target in re.findall(r"\]\(([^)#\s]+)", (ROOT / page).read_text(encoding="utf-8")):
            if "://" not in target and not (ROOT / page).parent.joinpath(target).exists():
                missing.append(f"{page}: {target}")
    assert missing == []
