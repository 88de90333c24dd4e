"""A launch without Numba hands over what Numba would, once there is machine code for arguments of such a kind."""

import ctypes
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from minitransformer.kernels.cuda import direct, kept


class OnDevice:
    """As much of CuPy's array as is asked for"""

    def __init__(self, array):
        self.array = array
        self.data = SimpleNamespace(ptr=array.ctypes.data)

    def __getattr__(self, name):
        return getattr(self.array, name)

    def __setitem__(self, where, value):
        self.array[where] = value

    @property
    def __cuda_array_interface__(self):
        raise AssertionError("it takes as long as Numba to ask for this")


class Kernel:
    """Numba's, which notes what it is launched with, and has a compiled kernel for whatever that was"""

    def __init__(self, **made):
        self.by_numba, self.overloads = [], {}
        library = SimpleNamespace(get_cubin=lambda: SimpleNamespace(code=b"machine code"))
        made = {"cooperative": False, "debug": False, "entry_name": "its_name", "library": library} | made
        self.made = SimpleNamespace(**made)

    def typeof_pyval(self, arg):
        return str(getattr(arg, "dtype", type(arg)))

    def __getitem__(self, shape):
        def launch(*args):
            self.by_numba.append((shape, args))
            self.overloads[tuple(map(self.typeof_pyval, args))] = self.made

        return launch


@pytest.fixture(autouse=True)
def stream(monkeypatch):
    """CuPy's current one"""
    found = SimpleNamespace(ptr=0)
    cuda = SimpleNamespace(get_current_stream=lambda: found)
    monkeypatch.setitem(sys.modules, "cupy", SimpleNamespace(cuda=cuda))
    monkeypatch.setattr(direct.cuda, "external_stream", lambda ptr: f"stream {ptr}")
    return found


@pytest.fixture
def launched(monkeypatch):
    """What was launched without Numba, and what is kept on disk"""
    found, on_disk = [], {}

    def note(ready, *launch):
        found.append((ready.code, *launch))
        return (13,) not in launch[-1]

    monkeypatch.setattr(direct.Ready, "__call__", note)
    monkeypatch.setattr(kept, "load", lambda kernel, kinds: on_disk.get(kinds))
    monkeypatch.setattr(kept, "save", lambda kernel, kinds, *code: on_disk.update({kinds: code}))
    found_and_kept = SimpleNamespace(launches=found, on_disk=on_disk)
    return found_and_kept


CODE = ("its_name", b"machine code")


def test_the_second_launch_of_a_kind_is_direct_and_the_first_of_the_next_process(launched):
    kernel, array = Kernel(), OnDevice(np.zeros((2, 3), np.float32))
    for number in (1, 2, 3):
        direct.start(kernel, 4, 32, (array, number))
    assert [args[1] for _, args in kernel.by_numba] == [1]
    words = (0, 0, 6, 4, array.data.ptr, 2, 3, 12, 4)
    assert launched.launches == [(CODE, 4, 32, (words, (2,))), (CODE, 4, 32, (words, (3,)))]
    assert launched.on_disk == {("f2C", "l"): CODE}
    later = Kernel()
    direct.start(later, 4, 32, (array, 4))
    assert later.by_numba == [] and launched.launches[-1] == (CODE, 4, 32, (words, (4,)))


@pytest.mark.parametrize(
    "one, other",
    [
        (np.zeros((2, 3), np.float32), np.zeros((2, 3), np.uint16)),
        (np.zeros((2, 3)), np.zeros(6)),
        (np.zeros((2, 3)), np.zeros((3, 2)).T),
        (np.zeros((2, 3)), np.zeros((2, 6))[:, ::2]),
        (np.zeros((3, 2)).T, np.zeros((2, 6))[:, ::2]),
        (1, 1.0),
        (1, np.float32(1)),
        (1, True),
        (np.float32(1), np.float64(1)),
    ],
)
def test_another_kind_goes_to_numba(one, other, launched):
    one, other = (OnDevice(x) if isinstance(x, np.ndarray) else x for x in (one, other))
    kernel = Kernel()
    direct.start(kernel, 1, 1, (one,))
    direct.start(kernel, 1, 1, (other,))
    assert len(kernel.by_numba) == 2 and launched.launches == []


def test_numba_launches_where_cupy_is(launched, stream):
    kernel = Kernel()
    direct.start(kernel, (2, 3), 32, (1,))
    stream.ptr = 7
    direct.start(kernel, (2, 3), 32, (1.0,))
    assert [shape for shape, _ in kernel.by_numba] == [((2, 3), 32), ((2, 3), 32, "stream 7")]


@pytest.mark.parametrize("arg", ["no number", None, 1j], ids=repr)
def test_what_cannot_be_launched_so_goes_on_as_before(arg, launched):
    kernel = Kernel()
    for _ in range(3):
        direct.start(kernel, 1, 1, (1, arg))
    assert len(kernel.by_numba) == 3 and launched.launches == [] and launched.on_disk == {}


@pytest.mark.parametrize(
    "made", [{"cooperative": True}, {"debug": True}, {"launch_config_sensitive": True}, {"library": None}], ids=str
)
def test_a_kernel_that_is_not_like_all_others_goes_on_as_before(made, launched):
    kernel = Kernel(**made)
    for _ in range(3):
        direct.start(kernel, 1, 1, (1,))
    assert len(kernel.by_numba) == 3 and launched.launches == [] and launched.on_disk == {}


def test_what_the_driver_refuses_is_asked_for_by_numba_which_says_why(launched):
    kernel = Kernel()
    for number in (1, 13, 2):
        direct.start(kernel, 1, 1, (number,))
    assert [args for _, args in kernel.by_numba] == [(1,), (13,)] and len(launched.launches) == 2


def test_a_first_launch_that_fails_is_none(launched):
    kernel, fails = Kernel(), [MemoryError]
    by_numba = Kernel.__getitem__

    class Full(Kernel):
        def __getitem__(self, shape):
            if fails:
                raise fails.pop()
            return by_numba(self, shape)

    kernel = Full()
    with pytest.raises(MemoryError):
        direct.start(kernel, 1, 1, (1,))
    for _ in range(2):
        direct.start(kernel, 1, 1, (1,))
    assert len(kernel.by_numba) == 1 and len(launched.launches) == 1


def test_kernels_do_not_know_each_others_kinds(launched, monkeypatch):
    monkeypatch.setattr(kept, "load", lambda kernel, kinds: None)
    for kernel in (Kernel(), Kernel()):
        direct.start(kernel, 1, 1, (1,))
        assert len(kernel.by_numba) == 1


class Struct(ctypes.Structure):
    _fields_ = [
        *[(f"null{i}", ctypes.c_void_p) for i in range(2)],
        *[(name, ctypes.c_ssize_t) for name in ("size", "itemsize")],
        ("begin", ctypes.c_void_p),
        *[(name, ctypes.c_ssize_t) for name in ("rows", "columns", "down", "across")],
        ("truth", ctypes.c_bool),
        ("real", ctypes.c_float),
        ("whole", ctypes.c_int64),
    ]


def test_the_struct_of_a_launch():
    array = OnDevice(np.zeros((3, 4), np.float32))
    args = array, True, np.float32(2.5), -7
    kinds, words = zip(*map(direct.seen, args))
    assert kinds == ("f2C", "?", "f", "l")
    ready = direct.Ready(None, kinds)
    ready.pack(words)
    found = Struct.from_buffer_copy(ready.struct.raw)
    shown = [getattr(found, name) for name, _ in Struct._fields_]
    assert shown == [None, None, 12, 4, array.ctypes.data, 3, 4, 16, 4, True, 2.5, -7]
    assert list(ready.where) == [1, ctypes.addressof(ready.struct), 2, ctypes.addressof(ready.size), None]
    assert ready.size.value == ctypes.sizeof(Struct)


@pytest.fixture
def driver(monkeypatch):
    """Launches as the driver sees them; it answers what `driver.answer` says"""
    found = SimpleNamespace(launches=[], answer=0)

    def launch(*args):
        found.launches.append(args)
        return found.answer

    monkeypatch.setattr(direct, "launcher", lambda: launch)
    monkeypatch.setattr(direct.Ready, "on_this_device", lambda ready: "function")
    return found


@pytest.mark.parametrize("ptr", [0, 8])
def test_what_the_driver_sees(ptr, driver, stream):
    stream.ptr = ptr
    ready = direct.Ready(None, ("l",))
    assert ready((5, np.int64(6)), 64, [(7,)])
    assert driver.launches == [("function", 5, 6, 1, 64, 1, 1, 0, ptr, None, ready.where)]
    driver.answer = 701  # too many resources
    assert not ready(1, 1, [(7,)])


@pytest.mark.parametrize("shape", [(2**31, 1), ((1, 2**32 + 5), 1), (1, 2**31)], ids=str)
def test_a_grid_that_a_driver_would_read_as_another(shape, driver):
    assert not direct.Ready(None, ("l",))(*shape, [(7,)]) and driver.launches == []


def test_a_device_that_it_is_no_code_for_is_asked_once(driver, monkeypatch):
    monkeypatch.undo()
    asked = []

    class Module:
        def load(self, cubin):
            asked.append(cubin)
            raise RuntimeError("CUDA_ERROR_NO_BINARY_FOR_GPU")

    cuda = SimpleNamespace(function=SimpleNamespace(Module=Module), runtime=SimpleNamespace(getDevice=lambda: 1))
    monkeypatch.setitem(sys.modules, "cupy", SimpleNamespace(cuda=cuda))
    ready = direct.Ready(direct.Code(*CODE), ("l",))
    for _ in range(3):
        assert not ready(1, 1, [(7,)])
    assert asked == [b"machine code"]


@pytest.mark.parametrize("words", [(), (1, 2), (2**63,), ("one",)], ids=str)
def test_words_that_do_not_fit_are_not_launched(words, driver):
    assert not direct.Ready(None, ("l",))(1, 1, [words]) and driver.launches == []


@pytest.mark.parametrize("shape", [(), (0,), (5,), (1, 4), (4, 1), (0, 3), (2, 3, 4)], ids=str)
def test_the_order_of_an_array_is_what_it_says_itself(shape):
    whole = np.zeros(tuple(2 * n for n in shape), np.float32)
    for array in (
        whole,
        whole.T,
        whole[(..., *[slice(None, None, 2)] * len(shape))],
        whole[..., :1] if shape else whole,
    ):
        kind, words = direct.seen(OnDevice(array))
        order = "C" if array.flags.c_contiguous else "F" if array.flags.f_contiguous else "A"
        assert kind == f"f{array.ndim}{order}"
        assert words == (0, 0, array.size, 4, array.ctypes.data, *array.shape, *array.strides)
