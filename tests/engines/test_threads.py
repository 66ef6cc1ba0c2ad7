"""Threads that use every core stay where they are; others, and what the user has set, are left alone."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from webui.engines.base import AbortFlag
from webui.engines.llamacpp import open_llamacpp
from webui.engines.threads import physical_cores
from webui.hub.library import starter_model
from webui.types import LoadSpec

LOOK = """
import json, os, sys
from webui.engines.base import AbortFlag
from webui.engines.llamacpp import open_llamacpp
from webui.engines.threads import physical_cores, settle_threads
settle_threads(int(sys.argv[1]))
print(json.dumps([physical_cores(), {k: v for k, v in os.environ.items() if k.startswith(("OMP_", "GOMP_"))}]))
"""


def settled(threads, **environment):
    command = [sys.executable, "-c", LOOK, str(threads)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env={"PATH": "", **environment})
    return json.loads(done.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="threads are only kept to cores on Linux")
def test_threads_keep_to_their_cores_only_if_they_use_all():
    cores = physical_cores()
    assert settled(0) == settled(cores)
    assert settled(0)[1]["OMP_PROC_BIND"] == "true" and settled(0)[1]["OMP_PLACES"] == "cores"
    assert "OMP_PROC_BIND" not in settled(cores + 1)[1]


def test_what_the_user_has_set_counts():
    theirs = {"OMP_PROC_BIND": "false", "OMP_PLACES": "sockets", "GOMP_SPINCOUNT": "7"}
    assert settled(0, **theirs)[1] == theirs
    assert "GOMP_SPINCOUNT" not in settled(0, OMP_WAIT_POLICY="passive")[1]


@pytest.mark.model
def test_a_loaded_model_uses_all_cores_although_its_thread_keeps_to_one():
    look = """
import sys
from webui.engines.base import AbortFlag
from webui.engines.llamacpp import open_llamacpp
from webui.engines.threads import physical_cores, settle_threads
settle_threads(0)
from webui.engines.base import AbortFlag, Chunk
from webui.engines.llamacpp import open_llamacpp
from webui.types import LoadSpec
engine = open_llamacpp(LoadSpec(sys.argv[1], n_ctx=256, slots=1), lambda done: True, AbortFlag())
engine.decode([Chunk(0, 0, [1, 2, 3], prompt=True)])
print(engine.info.extra["threads"], physical_cores())
"""
    done = subprocess.run(
        [sys.executable, "-c", look, str(starter_model())], capture_output=True, text=True, check=True
    )
    threads, cores = done.stdout.split()
    assert int(threads) == int(cores) == physical_cores()


def test_the_engine_says_whether_it_fills_all_cores(monkeypatch):
    for threads, cores, expected in ((0, 2, True), (2, 2, True), (1, 2, False)):
        monkeypatch.setattr("webui.engines.llamacpp_open.physical_cores", lambda cores=cores: cores)
        engine = open_llamacpp(
            LoadSpec(str(starter_model()), n_ctx=256, slots=1, threads=threads), lambda done: True, AbortFlag()
        )
        assert engine.fills_cores == expected
        engine.close()
