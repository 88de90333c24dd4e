"""Machine code is looked at where there is what makes it: the extra `cudacheck`."""

from minitransformer.kernels.cuda.attention import offline

collect_ignore = ["test_machine_code.py"] if offline.missing() else []
