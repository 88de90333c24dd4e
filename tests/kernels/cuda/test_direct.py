"""A launch without Numba hands over what Numba would, once a kernel has been launched with arguments of such a kind."""

import ctypes
from types import SimpleNamespace

import numpy as np
import pytest

from minitransformer.kernels.cuda import direct


class OnDevice:
    """As much of CuPy's array as is asked for"""

    def __init__(self, array):
        self.array = array
        self.data = SimpleNamespace(ptr=array.ctypes.data)

    def __getattr__(self, name):
        return getattr(self.array, name)

    @property
    def __cuda_array_interface__(self):
        raise AssertionError("it takes as long as Numba to ask for this")


class Kernel:
    """Numba's, which notes what it is launched with"""

    def __init__(self):
        self.by_numba = []

    def __getitem__(self, shape):
        return lambda *args: self.by_numba.append((shape, args))


@pytest.fixture
def launched(monkeypatch):
    """What was launched without Numba"""
    found = []

    class Ready:
        def __init__(self, kernel, args):
            if any(isinstance(arg, str) for arg in args):
                raise KeyError("str")

        def __call__(self, *launch):
            found.append(launch)

    monkeypatch.setattr(direct, "Ready", Ready)
    return found


def test_the_second_launch_of_a_kind_is_direct(launched):
    kernel, array = Kernel(), OnDevice(np.zeros((2, 3), np.float32))
    for number in (1, 2, 3):
        direct.start(kernel, 4, 32, (array, number))
    assert [args[1] for _, args in kernel.by_numba] == [1]
    assert launched == [(4, 32, (array, 2)), (4, 32, (array, 3))]


@pytest.mark.parametrize(
    "one, other",
    [
        (np.zeros((2, 3), np.float32), np.zeros((2, 3), np.uint16)),
        (np.zeros((2, 3)), np.zeros(6)),
        (np.zeros((2, 3)), np.zeros((3, 2)).T),
        (np.zeros((2, 3)), np.zeros((2, 6))[:, ::2]),
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
    assert len(kernel.by_numba) == 2 and launched == []


def test_what_cannot_be_launched_so_goes_on_as_before(launched):
    kernel = Kernel()
    for _ in range(3):
        direct.start(kernel, 1, 1, ("no number",))
    assert len(kernel.by_numba) == 3 and launched == []


def test_kernels_do_not_know_each_others_kinds(launched):
    for kernel in (Kernel(), Kernel()):
        direct.start(kernel, 1, 1, (1,))
        assert len(kernel.by_numba) == 1


def ready(words):
    """A launch of which one sees what the driver is given"""
    found = []
    made = object.__new__(direct.Ready)
    code = SimpleNamespace(get_cufunc=lambda: SimpleNamespace(kernel="code"))
    made.words, made.code, made.stream = words, code, "stream"
    made.config = lambda **settings: settings
    made.launch = lambda *args: found.append(args)
    return made, found


def test_the_words_of_a_launch():
    array = OnDevice(np.zeros((3, 8), np.float32)[:, ::2])
    launch, found = ready([direct.of_array, *map(direct.of_number, ("int64", "float32", "bool"))])
    launch((5, np.int64(6)), 64, (array, 7, np.float32(2.5), np.bool_(True)))
    ((stream, config, code, *words),) = found
    assert (stream, code) == ("stream", "code")
    assert config == {"grid": (5, 6, 1), "block": (64, 1, 1)}
    assert words[:-3] == [0, 0, 12, 4, array.ctypes.data, 3, 4, 32, 8]
    whole, real, truth = words[-3:]
    assert (type(whole), whole.value, type(real), real.value, truth) == (
        ctypes.c_int64,
        7,
        ctypes.c_float,
        2.5,
        True,
    )


def test_too_few_arguments_are_an_error():
    launch, _ = ready([direct.of_number("int64")])
    with pytest.raises(ValueError):
        launch(1, 1, ())


@pytest.mark.parametrize("kind", ["complex64", "unicode_type"])
def test_a_kind_without_words(kind):
    with pytest.raises(AttributeError):
        direct.of_number(kind)
