"""What stands in the way of a device is said in words that tell what to do, and touches no other backend."""

import ast
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import minitransformer
from minitransformer.cli import main
from minitransformer.convention import current_backend, use_backend
from minitransformer.kernels.cuda import arrays, backend, device, direct
from minitransformer.kernels.cuda.attention import RUNGS
from minitransformer.ops import gelu, layer_norm, silu
from minitransformer.placing import device_threads, to_device, to_host

ROOT = Path(__file__).parents[3]


class CudaAPIError(Exception):
    """As Numba names it; another module's, so that nothing hangs on what is installed."""


CudaAPIError.__module__ = "numba.cuda.cudadrv.driver"


@pytest.fixture(autouse=True)
def the_null_stream(monkeypatch):
    """CuPy, which would say in which, need not be there."""
    monkeypatch.setattr(direct, "current_stream", lambda: 0)


@pytest.fixture
def no_driver(monkeypatch):
    monkeypatch.setattr(device.cuda, "is_available", lambda: False)
    reason = "\nCUDA driver library cannot be found.\n"
    monkeypatch.setattr(device.cuda, "cuda_error", lambda: reason, raising=False)


def test_without_a_driver_the_backend_is_refused_and_the_one_before_stays(no_driver):
    use_backend("cpu")
    with pytest.raises(OSError, match="there is no CUDA driver.*`minitransformer doctor`"):
        use_backend("cuda")
    assert backend.check_device is device.check_device
    assert current_backend() == "cpu" and silu(np.ones(3))[1].backend == "cpu"


@pytest.mark.parametrize("command", [["train", "--text", "x"], ["generate", "x"]], ids=lambda words: words[0])
def test_the_command_line_says_it_in_one_line(command, no_driver, capsys):
    assert main([*command, "--backend", "cuda"]) == 1
    _, err = capsys.readouterr()
    assert "there is no CUDA driver: install" in err and err.count("\n") == 1 and "Traceback" not in err


def test_a_command_that_is_not_made_for_a_device_names_those_that_are(no_driver, monkeypatch, capsys):
    assert main(["embed", "x", "text", "--backend", "cuda"]) == 1
    assert "--backend cuda is for train and generate\n" in capsys.readouterr().err
    from minitransformer.cli import translate

    monkeypatch.setattr(translate, "ON_DEVICE", True, raising=False)
    assert main(["embed", "x", "text", "--backend", "cuda"]) == 1
    assert "--backend cuda is for train and generate and translate\n" in capsys.readouterr().err


def test_without_a_toolkit_it_says_so(monkeypatch):
    monkeypatch.setattr(device.cuda, "is_available", lambda: False)
    monkeypatch.setattr(device.cuda, "cuda_error", lambda: None, raising=False)
    with pytest.raises(OSError, match="Numba finds no toolkit to compile kernels with.*doctor"):
        device.check_device()


def test_without_cupy_it_says_what_brings_it(monkeypatch):
    monkeypatch.setattr(device.cuda, "is_available", lambda: True)
    monkeypatch.setitem(sys.modules, "cupy", None)
    with pytest.raises(ImportError, match="needs CuPy for its arrays.*cupy.*doctor"):
        device.check_device()


@pytest.mark.parametrize(
    "message, kind, said",
    [
        ("[222] Call to cuLinkAddData results in CUDA_ERROR_UNSUPPORTED_PTX_VERSION", OSError, "newer than the driver"),
        ("[2] Call to cuMemAlloc results in CUDA_ERROR_OUT_OF_MEMORY", MemoryError, "smaller --batch"),
        ("[100] Call to cuInit results in CUDA_ERROR_NO_DEVICE", OSError, "CUDA_VISIBLE_DEVICES"),
        ("[701] CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES", OSError, "registers or shared memory"),
        ("[700] CUDA_ERROR_ILLEGAL_ADDRESS", OSError, "nothing later in this process can be trusted"),
    ],
)
def test_what_a_driver_says_at_a_launch_becomes_words(message, kind, said):
    class Kernel:
        def __getitem__(self, shape):
            raise CudaAPIError(message)

    with pytest.raises(kind, match=said) as raised:
        device.launch(Kernel(), 1, 32, np.ones(3))
    assert "doctor" in str(raised.value) and isinstance(raised.value.__cause__, CudaAPIError)


def test_a_numpy_that_the_compiler_does_not_know_becomes_words():
    class Kernel:
        def __getitem__(self, shape):
            raise AttributeError("module 'numpy' has no attribute 'row_stack'")

    with pytest.raises(OSError, match="NumPy .* is too new for numba-cuda.*pip install 'numpy<2.5'.*doctor"):
        device.launch(Kernel(), 1, 32)


def test_a_mistake_of_ours_stays_what_it_is():
    class Kernel:
        def __getitem__(self, shape):
            raise IndexError("tuple index out of range")

    with pytest.raises(IndexError, match="tuple index"):
        device.launch(Kernel(), (2, 3), (4, 8))
    for none in (0, (0, 3), (2, 0)):
        device.launch(Kernel(), none, 32)  # no blocks: nothing is launched


@pytest.mark.parametrize("name", RUNGS)
def test_memory_that_is_full_on_any_rung(name, monkeypatch):
    def start(*_):
        raise CudaAPIError("[2] Call to cuLaunchKernel results in CUDA_ERROR_OUT_OF_MEMORY")

    monkeypatch.setattr(device, "start", start)
    monkeypatch.setattr(arrays, "on_device", lambda array: True)
    x = np.zeros((1, 1, 2, 32), np.float32 if RUNGS[name].precision == "float32" else np.uint16)
    with pytest.raises(MemoryError, match="smaller --batch.*doctor"):
        RUNGS[name].attention(x, x, x)


def test_memory_that_is_full_while_arrays_come_over(monkeypatch):
    class OutOfMemoryError(MemoryError):
        pass

    class Library:
        ndarray = np.ndarray

        @staticmethod
        def asarray(array):
            raise OutOfMemoryError("Out of memory allocating 512 bytes (allocated so far: 0 bytes).")

    monkeypatch.setattr(arrays, "library", lambda: Library)
    with pytest.raises(MemoryError, match="smaller --batch"):
        arrays.to_device({"weight": np.ones(3)})


def test_a_driver_error_anywhere_ends_a_command_in_one_line(monkeypatch, capsys):
    """In whatever library it was met: a matrix product, a copy."""

    def run(args):
        raise CudaAPIError("[2] CUDA_ERROR_OUT_OF_MEMORY")

    from minitransformer.cli import gradcheck

    monkeypatch.setattr(gradcheck, "run", run)
    assert main(["gradcheck"]) == 1
    out, err = capsys.readouterr()
    assert err.startswith("minitransformer gradcheck: the device's memory is full: a smaller --batch")
    with pytest.raises(CudaAPIError):
        main(["--traceback", "gradcheck"])


class There:
    """An array on a device, as far as the door looks: kernels can read it, and NumPy's functions leave it there."""

    __cuda_array_interface__ = {}
    data = None

    def __array_function__(self, *_):
        return NotImplemented


class OfAnother:
    """One that NumPy's functions would bring to the host."""

    __cuda_array_interface__ = {}


def test_an_array_in_the_wrong_place_is_named():
    with pytest.raises(TypeError, match="weight is a numpy.ndarray, not an array of CuPy's.*placing.to_device"):
        layer_norm.implementations["cuda"][0]({"weight": np.ones(3), "bias": np.ones(3)}, There())
    with pytest.raises(TypeError, match="x is a .*OfAnother, not"):
        layer_norm.implementations["cuda"][0]({"weight": There(), "bias": There()}, OfAnother())
    with pytest.raises(TypeError, match="x is a numpy.ndarray"):
        gelu.implementations["cuda"][0](np.ones(3))
    with pytest.raises(TypeError, match="g is a numpy.ndarray"):  # of many leaves, one
        arrays.check_leaves(w=[There(), There()], g=[There(), np.ones(3)])


def test_a_grid_of_nothing_is_not_launched(monkeypatch):
    """A driver would refuse it."""
    launched = []
    monkeypatch.setattr(device, "start", lambda kernel, grid, block, args: launched.append(grid))
    for grid in (0, 2, (0, 3), (3, 0), (1, 2)):
        device.launch(None, grid, 8)
    assert launched == [2, (1, 2)]


def test_other_backends_know_of_no_device():
    p = {"weight": np.ones(3), "layers": [np.zeros(2)]}
    for name in ("reference", "cpu"):
        use_backend(name)
        assert to_device(p) is p and to_host(p) is p and device_threads(4) == 4


def test_nothing_of_cuda_is_imported_before_it_is_chosen():
    code = (
        "import sys, minitransformer, minitransformer.cli as cli, minitransformer.training.run, "
        "minitransformer.decoding.generate; minitransformer.use_backend('cpu'); "
        "assert not [name for name in sys.modules if 'cuda' in name and name.startswith(('numba', 'cupy'))], "
        "[name for name in sys.modules if 'cuda' in name]; "
        "print([name for name in sys.modules if name.startswith('minitransformer') and 'cuda' in name])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert ast.literal_eval(done.stdout) == ["minitransformer.kernels.cuda_errors"]
    assert minitransformer.__file__.startswith(str(ROOT))


def test_what_lies_on_another_gpu_is_named(monkeypatch):
    def on(gpu):
        array = There()
        array.data = SimpleNamespace(device_id=gpu)
        return array

    monkeypatch.setattr(arrays, "current_device", lambda: 1)
    arrays.check_place(x=on(1), bias=None, rate=np.float32(2))
    with pytest.raises(ValueError, match=r"weight lies on GPU 0, but .* GPU 1, the current one.*Device\(0\).use"):
        arrays.check_place(x=on(1), weight=on(0))
