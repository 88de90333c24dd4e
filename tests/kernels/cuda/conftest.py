"""Machine code is looked at where there is what makes it (the extra `cudacheck`), a GPU's results where one is."""

from minitransformer.kernels.cuda.attention import offline
from minitransformer.kernels.cuda.device import SIMULATED

from .attention.conftest import WANTED

collect_ignore = ["test_machine_code.py"] * bool(offline.missing())
collect_ignore += ["test_on_gpu.py"] * bool(WANTED["test_on_gpu.py"] or SIMULATED)
