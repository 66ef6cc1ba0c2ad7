"""The header llama.cpp is compiled with, on a loop of the form llama.cpp has."""

from __future__ import annotations

import platform
import shutil
import subprocess
from pathlib import Path

import pytest

from webui.bootstrap.plan import WEIGHTS_AHEAD

COMPILER = shutil.which("cc") or ""
pytestmark = pytest.mark.skipif(
    not COMPILER or platform.machine() != "x86_64", reason="llama.cpp is compiled with it only there"
)
LOOP = """
#include <stddef.h>
#include <stdio.h>

typedef void (*kernel)(int n, float * s, size_t bs, const void * x, size_t bx, const void * y, size_t by, int nrc);

static void dot(int n, float * s, size_t bs, const void * x, size_t bx, const void * y, size_t by, int nrc) {
    (void) bs; (void) bx; (void) by; (void) nrc;
    *s = 0;
    for (int i = 0; i < n; i++) *s += ((const float *) x)[i] * ((const float *) y)[i];
}

int main(int count, char ** unused) {
    (void) unused;
    kernel const vec_dot = count > 9 ? NULL : dot;
    float x[64], y[2][8], sums[2][8];
    for (int i = 0; i < 64; i++) x[i] = i;
    for (int i = 0; i < 16; i++) y[i / 8][i % 8] = 1 + i;
    const size_t nb01 = 8 * sizeof(float);
    const int iir1 = 0;
    for (int ir1 = iir1; ir1 < 2; ir1++)
        for (int row = 0; row < 8; row++)
            vec_dot(8, &sums[ir1][row], 0, (const char *) x + row * nb01, 0, y[ir1], 0, 1);
    for (int i = 0; i < 16; i++) printf("%g ", sums[i / 8][i % 8]);
    return 0;
}
"""


def build(folder: Path, *flags: str) -> tuple[str, str]:
    """What the loop prints, and its assembly."""
    source, program = folder / "loop.c", folder / "loop"
    source.write_text(LOOP)
    command = [COMPILER, "-O2", "-Wall", "-Wextra", "-Werror", *flags, str(source)]
    subprocess.run([*command, "-o", str(program)], check=True)
    assembly = subprocess.run([*command, "-S", "-o", "-"], check=True, capture_output=True, text=True).stdout
    return subprocess.run([str(program)], check=True, capture_output=True, text=True).stdout, assembly


def test_it_asks_for_weights_ahead_and_changes_no_result(tmp_path: Path) -> None:
    plain, ahead = build(tmp_path), build(tmp_path, "-include", str(WEIGHTS_AHEAD))
    assert ahead[0] == plain[0]
    assert len(set(plain[0].split())) == 16
    assert "prefetch" not in plain[1]
    assert "prefetch" in ahead[1]
