"""The doctor: it never fails, says what is wrong in every situation, and names a command that would mend it."""

import builtins
import json
import shlex
import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path

import numpy as np
import pytest

from minitransformer import doctor
from minitransformer.cli import main
from minitransformer.doctor import cuda, here, libraries
from minitransformer.doctor.finding import VERDICTS, Finding
from minitransformer.installing import install
from minitransformer.kernels.cuda_errors import MEANINGS, explain, with_versions

ROOT = Path(__file__).parents[2]
DEVICE = {"name": "NVIDIA H200", "capability": [9, 0], "memory": 150 << 30, "shared": 227 << 10}
WHOLE = {
    "driver": {"version": [13, 0], "devices": [DEVICE]},
    "toolkit": {"numba-cuda": "0.30.4", "simulator": False, "version": [13, 0]},
    "cupy": {"version": "14.2.0", "product": 12.0},
    "kernel": {"result": 42.0},
}


def judged(*changes, end=None):
    """{what: Finding} of a whole machine after these changes, each {part: facts}."""
    facts = dict(WHOLE)
    for change in changes:
        facts |= change
    return {finding.what: finding for finding in cuda.judge(facts, end)}


def wrong(findings):
    return {what for what, finding in findings.items() if finding.verdict == "wrong"}


def extras():
    """{extra: requirements} of setup.cfg"""
    config = ConfigParser()
    config.read(ROOT / "setup.cfg")
    return dict(config["options.extras_require"])


# ------------------------------------------------------------------------------------------------------ this machine


def test_the_command_examines_this_machine(capsys):
    status = main(["doctor", "--json"])
    found = json.loads(capsys.readouterr().out)
    assert status == any(finding["verdict"] == "wrong" for finding in found)
    by_name = {finding["what"]: finding for finding in found}
    assert {finding["verdict"] for finding in found} <= set(VERDICTS)
    assert by_name["Python"]["found"].startswith(".".join(map(str, sys.version_info[:3])))
    for what in ("cores", "NumPy", "BLAS", "Numba", "Numba's threads", "vectors", "compiled kernels", "CUDA driver"):
        assert by_name[what]["found"] and "could not be looked at" not in by_name[what]["found"], what


def test_the_table_shows_the_same(monkeypatch, capsys):
    long = "a library that is not here and whose name goes on and on " * 3
    found = [Finding("Python", "good", "3.12"), Finding("CUDA driver", "wrong", long, "pip install x")]
    monkeypatch.setattr(doctor, "examine", lambda: iter(found))
    assert main(["doctor"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "✓ Python                3.12" and lines[1].startswith("✗ CUDA driver           a library")
    assert max(map(len, lines)) <= 120 and "→ pip install x" in lines[-3] and lines[-1] == "not in order: CUDA driver"
    monkeypatch.setattr(doctor, "examine", lambda: iter(found[:1]))
    assert main(["doctor"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "what is there is in order"


def test_an_examination_that_fails_is_a_finding():
    def look():
        raise RuntimeError("a library\nwith a bad day")

    (finding,) = doctor.examined("NumPy", look)
    assert finding == Finding("NumPy", "wrong", "could not be looked at: RuntimeError: a library with a bad day")


@pytest.mark.parametrize("missing", ["numba", "scipy", "cupy", "torch", "matplotlib", "threadpoolctl", "llvmlite"])
def test_it_goes_on_without_any_library(missing, monkeypatch):
    """Whatever cannot be imported: the other findings are all there."""
    real = builtins.__import__

    def imported(name, *args, **more):
        if name.split(".")[0] == missing:
            raise ImportError(f"no {missing} today")
        return real(name, *args, **more)

    monkeypatch.setattr(cuda, "probe", lambda: ({}, None))
    monkeypatch.setattr(builtins, "__import__", imported)
    found = list(doctor.examine())
    assert [finding for finding in found if finding.what == "Python" and finding.verdict == "good"]
    assert len(found) >= len(doctor.EXAMINATIONS)
    if missing in ("numba", "llvmlite"):
        assert any(f"no {missing} today" in finding.found and finding.verdict == "wrong" for finding in found)


def test_a_cache_that_cannot_be_written(monkeypatch):
    from minitransformer.kernels.cpu import compiled

    monkeypatch.setattr(compiled, "CACHE_FOLDER", None)
    assert here.kernel_cache().verdict == "note" and "NUMBA_CACHE_DIR" in here.kernel_cache().advice


def test_an_old_python(monkeypatch):
    monkeypatch.setattr(here.sys, "version_info", (3, 10, 2))
    assert here.python().verdict == "wrong" and "3.11" in here.python().advice


# ------------------------------------------------------------------------------------------------------------- CUDA


def test_a_machine_where_all_fits():
    found = judged()
    assert not wrong(found) and all(finding.verdict == "good" for finding in found.values())
    assert "sm_90" in found["CUDA device 0"].found and "227 KB" in found["CUDA device 0"].found


def test_no_driver_is_no_fault():
    absent = {"absent": "libcuda.so.1: cannot open shared object file"}
    found = judged({"driver": absent, "toolkit": {"absent": "numba-cuda"}, "cupy": {"absent": "cupy"}})
    assert list(found) == ["CUDA driver"] and found["CUDA driver"].verdict == "absent"
    found = judged(
        {"driver": absent, "toolkit": {"error": "libnvrtc.so.13 is missing"}, "cupy": {"error": "no device"}}
    )
    assert not wrong(found) and "cuda13" in found["CUDA compiler"].advice


def test_a_driver_without_a_device():
    for driver in ({"version": [13, 0], "error": "CUDA_ERROR_NO_DEVICE"}, {"version": [13, 0], "devices": []}):
        found = judged({"driver": driver, "kernel": {"error": "CUDA_ERROR_NO_DEVICE"}})
        advice = [finding.advice for finding in found.values() if finding.advice]
        assert any("CUDA_VISIBLE_DEVICES" in each for each in advice) and "a kernel of one line" not in found


@pytest.mark.parametrize(
    "driver, toolkit, fits",
    [([13, 0], [13, 0], True), ([13, 1], [13, 0], True), ([13, 0], [13, 1], False), ([12, 4], [13, 0], False)],
)
def test_a_toolkit_may_not_be_newer_than_the_driver(driver, toolkit, fits):
    found = judged({"driver": WHOLE["driver"] | {"version": driver}, "toolkit": {"version": toolkit}})
    assert wrong(found) == (set() if fits else {"CUDA compiler"})
    if not fits:
        shown = ".".join(map(str, driver))
        assert f"newer than the driver, which reads PTX up to that of {shown}" in found["CUDA compiler"].found
        assert ("cuda-toolkit==12.4.*" if driver[0] == 12 else "cuda13") in found["CUDA compiler"].advice


def test_a_ptx_that_the_driver_cannot_read():
    """As the driver itself says so, whatever the versions seem to be."""
    found = judged(
        {"kernel": {"error": "CudaAPIError: [222] Call to cuLinkAddData: CUDA_ERROR_UNSUPPORTED_PTX_VERSION"}}
    )
    finding = found["a kernel of one line"]
    assert finding.verdict == "wrong" and "newer than the driver" in finding.advice and "pip install" in finding.advice


def test_a_numpy_that_is_too_new_for_the_compiler(monkeypatch):
    monkeypatch.setattr("importlib.metadata.version", {"numpy": "2.5.2", "numba-cuda": "0.30.4"}.get)
    found = judged({"kernel": {"error": "AttributeError: module 'numpy' has no attribute 'row_stack'"}})
    finding = found["a kernel of one line"]
    assert finding.verdict == "wrong" and finding.advice.startswith("NumPy 2.5.2 is too new for numba-cuda 0.30.4, ")
    assert finding.advice.endswith("pip install 'numpy<2.5'")


def test_what_is_not_installed_has_no_version():
    assert with_versions("NumPy {numpy} and {no-such-package}") == f"NumPy {np.__version__} and"


def test_an_old_driver():
    found = judged({"driver": WHOLE["driver"] | {"version": [11, 8]}, "toolkit": {"absent": "numba-cuda"}})
    assert found["CUDA driver"].verdict == "wrong" and "driver for CUDA 12.3 or newer" in found["CUDA compiler"].advice


def test_an_old_device():
    found = judged({"driver": WHOLE["driver"] | {"devices": [DEVICE | {"capability": [6, 1]}, DEVICE]}})
    assert wrong(found) == {"CUDA device 0"} and found["CUDA device 1"].verdict == "good"


def test_without_a_compiler_or_an_array_library():
    found = judged({"toolkit": {"absent": "numba-cuda"}, "cupy": {"absent": "cupy"}})
    assert found["CUDA compiler"].verdict == found["CuPy"].verdict == "absent"
    assert found["CUDA compiler"].advice == found["CuPy"].advice == install("cuda13")
    assert "a kernel of one line" not in found
    found = judged({"toolkit": {"numba-cuda": "0.30.4", "error": "libnvvm.so is missing"}})
    assert wrong(found) == {"CUDA compiler"}


@pytest.mark.parametrize("kernel, said", [({"result": 0.0}, "0.0 instead of 42"), ({}, "None instead of 42")])
def test_a_kernel_that_gives_something_else(kernel, said):
    found = judged({"kernel": kernel})
    assert wrong(found) == {"a kernel of one line"} and said in found["a kernel of one line"].found


def test_matrices_that_are_multiplied_wrong():
    assert wrong(judged({"cupy": {"version": "14.2.0", "product": 11.0}})) == {"CuPy"}
    found = judged({"cupy": {"error": "RuntimeError: cudaErrorInsufficientDriver"}})
    assert wrong(found) == {"CuPy"} and "older than the toolkit" in found["CuPy"].advice


def test_the_simulator_is_no_device():
    found = judged({"toolkit": WHOLE["toolkit"] | {"simulator": True}})
    assert found["CUDA compiler"].verdict == found["a kernel of one line"].verdict == "note"


# ------------------------------------------------------------------------------------------------------- the probe


def probe_of(code, seconds=20):
    return cuda.probe((sys.executable, "-c", code), seconds)


def test_a_probe_that_dies_has_told_what_it_knew():
    code = 'print("{\\"driver\\": {\\"version\\": [13, 0]}}\\n{\\"next\\": \\"kernel\\"}\\nnoise\\n7", flush=True); '
    facts, end = probe_of(code + "import os; os._exit(139)")
    assert facts == {"driver": {"version": [13, 0]}, "next": "kernel"} and end == "it ended with status 139"
    last = cuda.judge(facts, end)[-1]
    assert last.verdict == "wrong" and last.found == "it ended with status 139, at its kernel"


def test_a_probe_that_does_not_come_back():
    facts, end = probe_of('print("{\\"next\\": \\"driver\\"}", flush=True); import time; time.sleep(60)', 1)
    assert facts == {"next": "driver"} and end == "it did not come back within 1 seconds"
    assert cuda.judge(facts, end)[-1].found.endswith("at its driver")


def test_a_probe_that_cannot_be_started():
    assert cuda.judge(*cuda.probe(("no-such-python",)))[-1].verdict == "wrong"


def test_the_probe_itself_tells_every_fact():
    facts, end = cuda.probe()
    assert end is None and {"driver", "toolkit", "cupy", "kernel"} <= facts.keys()


# -------------------------------------------------------------------------------------------- errors and libraries


def test_every_meaning_is_found_by_each_of_its_signs():
    for signs, meaning, kind in MEANINGS:
        for sign in signs:
            assert explain(f"CudaAPIError: {sign} (while loading)") == (with_versions(meaning), kind), sign
    assert explain("a shape that does not fit") == (None, None)


def test_every_optional_library_is_brought_by_its_extra():
    there = extras()
    for library in libraries.OPTIONAL:
        assert library.package in there[library.extra], library
    for extra, cupy in (("cuda12", "cupy-cuda12x"), ("cuda13", "cupy-cuda13x")):
        assert (
            cupy in there[extra]
            and "numpy >=2.0, <2.5" in there[extra]
            and f"numba-cuda[cu{extra[-2:]}]" in there[extra]
        )


def test_a_library_that_is_missing():
    missing = libraries.Library("sacrebleu", "no_such_module", "translate", "scores")
    finding = libraries.finding(missing)
    assert finding.verdict == "absent" and finding.advice == install("translate")
    assert libraries.finding(libraries.Library("numpy", "numpy", "none", "arrays")).verdict == "good"


def test_the_command_can_be_pasted(monkeypatch):
    monkeypatch.setattr(sys, "executable", "/a folder/python")
    command = shlex.split(install("cuda12", ["cuda-toolkit==12.4.*"]))
    assert command[:4] == ["/a folder/python", "-m", "pip", "install"] and command[-1] == "cuda-toolkit==12.4.*"
    assert command[-2] == f"{ROOT}[cuda12]"


def test_a_broken_required_library_gives_a_line_and_no_traceback(tmp_path):
    """Numba that cannot even be imported, as a whole process sees it."""
    (tmp_path / "numba.py").write_text("raise ImportError('numba is half installed')")
    done = subprocess.run(
        [sys.executable, "-m", "minitransformer", "doctor"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={"PYTHONPATH": f"{tmp_path}:{ROOT}", "PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "PYTHONUTF8": "1"},
    )
    assert done.returncode == 1 and "Traceback" not in done.stdout + done.stderr
    assert "numba is half installed" in " ".join(done.stdout.split()) and "CUDA driver" in done.stdout
