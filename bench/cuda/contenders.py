"""Who does attention in the timings: every rung of the ladder, each kind of PyTorch's, and the processor.

Each is asked in the same way (`Work`): bring the inputs, forward, backward, and what came out.
"""

import re
from importlib.util import find_spec
from typing import NamedTuple

import numpy as np

from minitransformer.kernels.cuda.attention import RUNGS
from minitransformer.kernels.cuda.attention.bfloat16 import from_bfloat16
from minitransformer.ops.attention import attention as operation

HOST = ("NumPy", "CPU kernels")  # who computes on the processor
IN_PARTS = ("tensor_cores_float32",)  # whose float32 comes from tensor cores
KINDS = {  # PyTorch's, by its own names, and in which precision each exists
    "MATH": ("float32", "bfloat16"),
    "EFFICIENT_ATTENTION": ("float32", "bfloat16"),
    "FLASH_ATTENTION": ("bfloat16",),
    "CUDNN_ATTENTION": ("bfloat16",),
}


class Contender(NamedTuple):
    name: str
    precision: str
    make: object  # (inputs, size, precision) -> Work

    @property
    def unit(self):
        """By what it is done: what that can do at most is in `Peaks`"""
        return "parts" if self.name in IN_PARTS else self.precision


class Work(NamedTuple):
    bring: object  # () -> None, inputs to where they are used
    forward: object  # () -> None
    backward: object  # () -> None, of what the forward before left; None where there is none
    answer: object  # (heads) -> {head: {"y", "dq", "dk", "dv"}} of what both left, float32 in the host's memory
    kernels: object = None  # (forward or backward) -> names of the kernels that ran, where one has to ask


def by_rung(name):
    rung = RUNGS[name]

    def make(inputs, size, precision):
        from minitransformer.kernels.cuda.arrays import to_device, to_host

        here = {}

        def bring():
            here["given"] = to_device(inputs[precision])

        def forward():
            here["y"], here["saved"] = rung.attention(*here["given"][:3], causal=size.causal)

        def backward():
            here["dq"], here["dk"], here["dv"], _ = rung.attention_backward(here["given"][3], here["saved"])

        def in_float32(part):
            return from_bfloat16(to_host(part)) if precision == "bfloat16" else to_host(part)

        def answer(heads):
            names = ("y", "dq", "dk", "dv") if rung.backward else ("y",)
            return {head: {name: in_float32(here[name][head]) for name in names} for head in heads}

        bring()
        return Work(bring, forward, backward if rung.backward else None, answer)

    return make


def by_pytorch(kind):
    def make(inputs, size, precision):
        import torch
        from torch.nn.attention import SDPBackend, sdpa_kernel
        from torch.nn.functional import scaled_dot_product_attention

        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
        here, kinds = {}, [getattr(SDPBackend, kind)]

        def brought(part):
            if precision == "bfloat16":
                return torch.from_numpy(part.view(np.int16)).to("cuda").view(torch.bfloat16)
            return torch.from_numpy(part).to("cuda")

        def bring():
            *qkv, here["dy"] = (brought(part) for part in inputs[precision])
            here["qkv"] = [part.requires_grad_() for part in qkv]

        def forward():
            with sdpa_kernel(kinds):
                here["y"] = scaled_dot_product_attention(*here["qkv"], is_causal=size.causal)

        def backward():
            gradients = torch.autograd.grad(here["y"], here["qkv"], here["dy"], retain_graph=True)
            here["dq"], here["dk"], here["dv"] = gradients

        def answer(heads):
            def part(name, head):
                return here[name][head].detach().float().cpu().numpy()

            return {head: {name: part(name, head) for name in ("y", "dq", "dk", "dv")} for head in heads}

        def kernels(work):
            """What PyTorch launches is its own choice: the names that its profiler saw on the device."""
            from torch.profiler import ProfilerActivity, profile

            with profile(activities=[ProfilerActivity.CUDA]) as seen:
                work()
                torch.cuda.synchronize()
            return of_attention(event.key for event in seen.key_averages())

        bring()
        return Work(bring, forward, backward, answer, kernels)

    return make


ELSE = re.compile(r"cu(da)?[A-Z]|Mem(set|cpy)|Activity Buffer|void at::native::\w*(elementwise|reduce)_kernel")


def of_attention(names):
    """Of all that a profiler saw, the kernels that do attention, by their functions' names: no calls, no copies."""
    return sorted({shortened(name) for name in names if not ELSE.match(name)})


def shortened(name, most=60):
    """Without its arguments; without those of its template too where that is longer than `most`."""
    name = name.removeprefix("void ").replace("(anonymous namespace)::", "")
    name = name.split("(")[0].strip()
    return (name if len(name) <= most else name.split("<")[0])[:most]


def by_backend(backend):
    """On the processor: the reference, or its kernels."""

    def make(inputs, size, precision):
        import minitransformer

        *qkv, dy = inputs["float32"]
        here = {}

        def forward():
            minitransformer.use_backend(backend)
            here["y"], here["saved"] = operation(*qkv, causal=size.causal)

        def backward():
            here["dq"], here["dk"], here["dv"], _ = operation.backward(dy, here["saved"])

        def answer(heads):
            return {head: {name: here[name][head] for name in ("y", "dq", "dk", "dv")} for head in heads}

        return Work(None, forward, backward, answer)

    return make


def contenders():
    """Whoever can be asked here."""
    found = [Contender(name, rung.precision, by_rung(name)) for name, rung in RUNGS.items()]
    if find_spec("torch"):
        found += [
            Contender(f"PyTorch {kind}", precision, by_pytorch(kind))
            for kind, precisions in KINDS.items()
            for precision in precisions
        ]
    return [
        *found,
        Contender("CPU kernels", "float32", by_backend("cpu")),
        Contender("NumPy", "float32", by_backend("reference")),
    ]
