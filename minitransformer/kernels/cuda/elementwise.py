"""What the kernels of all activations share: y_i = f(x_i), dx_i = dy_i f'(x_i), and nothing is kept but x.

A thread does every so-many-th element, a stride of the whole grid apart: neighbours are read and written by
neighbouring threads, and any n is as good as another.
"""

from .arrays import check_place, empty, flat
from .device import THREADS, cuda, elements, kernel, launch


def elementwise(value, slope):
    """The forward and the backward of an operation, made of two functions of a number: f(x, real) and f'(x, real).

    real: the type of x, through which every literal goes. A plain 0.5 would be a float64 and widen all that it meets:
    few devices are good at float64, most of them 32 or 64 times slower than at float32.
    """

    @kernel
    def forward(x, y):
        real = x.dtype.type
        for i in range(cuda.grid(1), x.size, cuda.gridsize(1)):
            y[i] = value(x[i], real)

    @kernel
    def backward(dy, x, dx):
        real = x.dtype.type
        for i in range(cuda.grid(1), x.size, cuda.gridsize(1)):
            dx[i] = dy[i] * slope(x[i], real)

    def activation(x):
        check_place(x=x)
        y = empty(x.shape, x)
        launch(forward, elements(x.size), THREADS, flat(x), flat(y))
        return y, (x,)

    def activation_backward(dy, saved):
        (x,) = saved
        check_place(dy=dy)
        dx = empty(x.shape, x)
        launch(backward, elements(x.size), THREADS, flat(dy), flat(x), flat(dx))
        return dx

    activation.kernels = {"forward": (forward, "xx"), "backward": (backward, "xxx")}
    activation.__module__ = activation_backward.__module__ = value.__module__  # their page shows that file
    return activation, activation_backward
