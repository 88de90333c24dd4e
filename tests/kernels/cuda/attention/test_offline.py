"""What the kernels become on a GPU, without one: registers, memory, and the instructions that a rung claims."""

import json

import pytest

from minitransformer.kernels.cuda.attention import offline
from minitransformer.kernels.cuda.attention.offline import MOST_REGISTERS, MOST_SHARED, launches, modules, row, unique

BUDGETS = {  # registers of a thread where nothing is masked: 168 let three blocks of 128 threads run side by side
    "tensor_cores_forward": 168,
    "tensor_cores_float32_rows": 64,
    "flash_registers_forward": 168,
    "flash_registers_query_gradients": 176,
}
WITH_CARE = [  # where something is at its limit, or most used: the rest is in the table
    ("naive", 64, False, "sm_90"),
    ("tiled", 64, False, "sm_80"),
    ("flash", 128, False, "sm_90"),
    ("flash_atomic", 64, False, "sm_90"),
    ("flash_registers", 128, False, "sm_90"),
    ("flash_registers", 64, False, "sm_80"),
    ("tensor_cores", 64, False, "sm_90"),
    ("tensor_cores", 128, True, "sm_80"),
    ("tensor_cores_float32", 128, False, "sm_80"),
    ("tensor_cores_float32", 64, True, "sm_90"),
]


def check(found):
    assert found["local"] == found["spills"] == 0, found
    budget = MOST_REGISTERS if found["masked"] else BUDGETS.get(found["kernel"], MOST_REGISTERS)
    assert found["registers"] <= budget, found
    assert found["shared"] <= MOST_SHARED, found
    assert found["float64"] == 0, found
    if found["rung"] == "flash_registers":
        assert found["LDS.128"] > 0 and found["LDG.128"] > 0, found
    if found["kernel"] in ("flash_registers_forward", "tensor_cores_forward", "tensor_cores_float32_forward"):
        assert found["SHFL"] > 0, found
    check_products(found, PRODUCTS.get(found["kernel"].removeprefix(found["rung"] + "_")))


PRODUCTS = {"forward": 2, "query_gradients": 3, "key_gradients": 4, "value_gradients": 2}


def check_products(found, products):
    """Each product of a strip and a tile is made by tensor cores, and what they take comes by ldmatrix."""
    K, masked, module = found["K"], found["masked"], modules()[found["rung"]]
    if found["rung"] == "tensor_cores" and products:
        tile = module.tile_of(K, masked)[products == 4]
        assert found["HMMA"] == products * (tile // 8) * (K // 16), found
        assert found["LDSM"] >= found["HMMA"] // 2 and found["LDGSTS"] > 0, found
    if found["rung"] == "tensor_cores_float32" and products:
        products -= products == 4 and not module.together(K)
        every = 6 * products * (module.tile_of(K, masked) // 8) * (K // 16)
        assert found["HMMA"] == every or (masked and 0 < found["HMMA"] < every), found  # where a loop stays a loop
        assert found["LDSM"] == found["HMMA"] // 4 and found["LDGSTS"] > 0, found


@pytest.mark.parametrize("name, K, masked, architecture", WITH_CARE)
def test_machine_code(name, K, masked, architecture):
    for launch in unique(launches(modules()[name], K, masked=masked)):
        check(row(name, launch, K, masked, architecture))


@pytest.fixture(scope="module")
def table():
    return json.loads(offline.RESULTS.read_text(encoding="utf-8"))


def test_the_table_is_of_these_kernels(table):
    for name in modules():
        assert table["source"][name] == offline.source_hash(name), f"python -m {offline.__name__} {name} makes it anew"


def test_every_kernel_in_the_table(table):
    for found in table["rows"]:
        check(found)
    names = "rung", "kernel", "K", "masked", "architecture"
    kernels = {tuple(found[name] for name in names) for found in table["rows"]}
    assert len(kernels) == len(table["rows"])
    for name, module in modules().items():
        for K, *rest in offline.VARIANTS:
            for launch in unique(launches(module, K)):
                assert (name, launch.name, K, *rest) in kernels


def test_float64_in_a_float32_kernel_is_noticed():
    """A literal is enough to bring it in."""
    from numba import cuda, types

    @cuda.jit
    def doubled(x):
        x[0] = x[0] * 1.1

    code = offline.compiled(doubled, types.void(types.float32[::1]), "sm_90")
    assert code.in_float64 and code.registers > 0 and not code.local


def test_memory_for_what_does_not_fit_into_registers_is_noticed():
    from numba import cuda, float32, types

    @cuda.jit
    def scattered(x, n):
        room = cuda.local.array(1024, float32)
        for i in range(n):
            room[i * n % 1024] = x[i]
        x[0] = room[n]

    code = offline.compiled(scattered, types.void(types.float32[::1], types.int64), "sm_90")
    assert code.local >= 4096
