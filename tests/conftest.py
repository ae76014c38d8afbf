"""The workers of ``pytest -n`` share the cores."""

import os

_workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
if _workers > 1:
    # Threads of OpenMP spin while they wait. Two workers with two threads each on two cores take four times the time
    # for small steps. Tests that are about threads set their number themselves.
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // _workers)))
