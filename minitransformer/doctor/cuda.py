"""Whether CUDA works here, and if not, which of its parts does not fit the others.

Four parts have to be there: a device, NVIDIA's driver for it, the compiler of kernels (numba-cuda with a toolkit), and
CuPy, whose arrays they work on. They come from different hands. The commonest failure is a toolkit that is newer than
the driver: it translates kernels into a PTX (the assembly language that a driver reads) of a version which that driver
has never heard of. A driver reads whatever older toolkits write.

`probe` finds the facts; `judge` makes findings of them and looks at nothing else, so that every situation can be tried.
"""

import json
import subprocess
import sys

from ..installing import install
from ..kernels.cuda_errors import explain
from .finding import Finding

LEAST_DRIVER, LEAST_CAPABILITY = (12, 3), (7, 0)
SECONDS = 120  # until the probe is given up


def findings():
    return judge(*probe())


def probe(command=(sys.executable, "-m", "minitransformer.doctor.probe"), seconds=SECONDS):
    """({what: facts}, how the probe ended where it did not come to its end, else None)"""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, stdin=subprocess.DEVNULL)
        text, end = done.stdout, f"it ended with status {done.returncode}" if done.returncode else None
    except subprocess.TimeoutExpired as error:
        text, end = error.stdout or b"", f"it did not come back within {seconds} seconds"
        text = text.decode(errors="replace") if isinstance(text, bytes) else text
    except OSError as error:
        return {}, f"it could not be started: {error}"
    facts = {}
    for line in text.splitlines():
        try:
            fact = json.loads(line)
        except ValueError:
            continue  # something that a library printed
        if isinstance(fact, dict):
            facts |= fact
    return facts, end


def judge(facts, end=None):
    """[Finding, ...] of what the probe found; `end` as `probe` gives it."""
    driver, toolkit = facts.get("driver", {}), facts.get("toolkit", {})
    found = [driver_finding(driver), *device_findings(driver)]
    if driver.get("absent") and toolkit.get("absent"):
        return found + ended(facts, end)
    found += [toolkit_finding(driver, toolkit), cupy_finding(driver, facts.get("cupy", {}))]
    if not toolkit.get("absent") and driver.get("devices"):
        found.append(kernel_finding(driver, toolkit, facts.get("kernel", {})))
    return found + ended(facts, end)


def ended(facts, end):
    if end is None:
        return []
    at = facts.get("next")
    return [Finding("looking at CUDA", "wrong", f"{end}, {f'at its {at}' if at else 'before it found anything'}")]


def driver_finding(driver):
    version = version_of(driver)
    if version is None and (driver.get("absent") or not driver):
        found = "none: kernels and training run on the processor"
        return Finding("CUDA driver", "absent", found, "for an NVIDIA GPU, install NVIDIA's driver for it")
    if error := driver.get("error"):
        return Finding("CUDA driver", "wrong", f"{shown(version)}, but {error}", explain(error)[0])
    if version < LEAST_DRIVER:
        found = f"for CUDA {shown(version)}, older than {shown(LEAST_DRIVER)}"
        return Finding("CUDA driver", "wrong", found, f"install a driver for CUDA {shown(LEAST_DRIVER)} or newer")
    return Finding("CUDA driver", "good", f"reads what toolkits up to CUDA {shown(version)} write")


def device_findings(driver):
    if "devices" not in driver:
        return []
    found = []
    for i, device in enumerate(driver["devices"]):
        capability = tuple(device["capability"])
        text = (
            f"{device['name']}, sm_{capability[0]}{capability[1]}, {device['memory'] / 2**30:.0f} GB, "
            f"{device['shared'] / 1024:.0f} KB of shared memory to a block"
        )
        if capability < LEAST_CAPABILITY:
            text += f"; older than sm_{LEAST_CAPABILITY[0]}{LEAST_CAPABILITY[1]}, the oldest that kernels are made for"
        found.append(Finding(f"CUDA device {i}", "good" if capability >= LEAST_CAPABILITY else "wrong", text))
    nothing = Finding("CUDA device", "absent", "none, though there is a driver", explain("CUDA_ERROR_NO_DEVICE")[0])
    return found or [nothing]


def toolkit_finding(driver, toolkit):
    """The compiler, and whether its toolkit writes what the driver reads."""
    if toolkit.get("absent") or not toolkit:
        return Finding("CUDA compiler", "absent", "numba-cuda is not installed", advice(driver))
    if error := toolkit.get("error"):
        verdict = "wrong" if driver.get("devices") else "note"
        return Finding("CUDA compiler", verdict, f"numba-cuda finds no toolkit: {error}", advice(driver))
    mine, theirs = version_of(toolkit), version_of(driver)
    found = f"numba-cuda {toolkit.get('numba-cuda', '')}, toolkit {shown(mine)}"
    if toolkit.get("simulator"):
        found += "; NUMBA_ENABLE_CUDASIM is set: kernels are simulated, slowly, and no device is used"
        return Finding("CUDA compiler", "note", found, "unset NUMBA_ENABLE_CUDASIM to use a device")
    if theirs and mine and mine > theirs:
        found += f", newer than the driver, which reads PTX up to that of {shown(theirs)}"
        return Finding("CUDA compiler", "wrong", found, f"{advice(driver)}        (or a newer driver)")
    return Finding("CUDA compiler", "good", found)


def cupy_finding(driver, cupy):
    if cupy.get("absent") or not cupy:
        return Finding("CuPy", "absent", "not installed: it holds the arrays of the backend cuda", advice(driver))
    if error := cupy.get("error"):
        if driver.get("devices"):
            return Finding("CuPy", "wrong", error, explain(error)[0] or advice(driver))
        return Finding("CuPy", "note", "installed, but there is no device for its arrays")
    if cupy["product"] != 12:
        return Finding("CuPy", "wrong", f"{cupy['version']} multiplies matrices wrong", advice(driver))
    return Finding("CuPy", "good", f"{cupy['version']}; it multiplied a matrix")


def kernel_finding(driver, toolkit, kernel):
    """The proof: a kernel of one line."""
    what = "a kernel of one line"
    if error := kernel.get("error"):
        hint = advice(driver) if "UNSUPPORTED_PTX" in error or "PTX was compiled" in error else None
        text, _ = explain(error)
        return Finding(what, "wrong", error, f"{text}: {hint}" if text and hint else text or hint)
    if kernel.get("result") != 42:
        return Finding(what, "wrong", f"gave {kernel.get('result')} instead of 42")
    if toolkit.get("simulator"):
        return Finding(what, "note", "was simulated; nothing ran on a device")
    return Finding(what, "good", "was compiled, ran, and gave what it should")


def advice(driver):
    """The command that installs what fits this driver: of toolkits none that is newer, and the linker beside it."""
    version = version_of(driver)
    if version is None or version[0] >= 13:
        return install(
            "cuda13"
        )  # which has the first toolkit of CUDA 13, and every driver of CUDA 13 reads what it writes
    if version < LEAST_DRIVER:
        return f"install a driver for CUDA {shown(LEAST_DRIVER)} or newer first"
    minor = f"{shown(version)}.*"
    return install("cuda12", [f"cuda-toolkit=={minor}", f"nvidia-nvjitlink-cu12=={minor}"])


def version_of(facts):
    return tuple(facts["version"]) if facts.get("version") else None


def shown(version):
    return ".".join(map(str, version)) if version else "of an unknown version"
