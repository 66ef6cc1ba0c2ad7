"""What a worker's process is started with."""

from __future__ import annotations

import sys

import pytest

from webui.runtime.process import start

TELL = (sys.executable, "-c", "import os; print(os.environ['GLIBC_TUNABLES'])")


@pytest.mark.parametrize(
    ("theirs", "expected"),
    [
        ("", "glibc.malloc.hugetlb=1"),
        ("glibc.malloc.check=1", "glibc.malloc.check=1:glibc.malloc.hugetlb=1"),
        ("glibc.malloc.hugetlb=0", "glibc.malloc.hugetlb=0"),
    ],
)
def test_memory_comes_in_large_pages_unless_the_user_has_set_it(
    theirs: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GLIBC_TUNABLES", theirs)
    process = start(TELL)
    process.popen.wait(20)
    process.output.join(5)
    process.connection.close()
    assert process.output.text().strip() == expected
