"""Brian2's side of benchmarks/networks.py, as a C++ program of its own: each line of input runs it once from the start.

The time is that of the simulation loop alone, which the program reports. A first stretch is not timed.
"""

import json
import pathlib
import sys
import tempfile

import brian2 as b2
from brian2 import Hz, ms, mV

WORKLOAD, N, THREADS, SPAN = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
FOLDER = tempfile.mkdtemp(prefix="brian-")


def cuba():
    equations = """dv/dt = (ge + gi - (v + 49*mV)) / (20*ms) : volt (unless refractory)
                   dge/dt = -ge / (5*ms) : volt
                   dgi/dt = -gi / (10*ms) : volt"""
    cells = b2.NeuronGroup(
        N, equations, threshold="v > -50*mV", reset="v = -60*mV", refractory=5 * ms, method="exact", dt=0.1 * ms
    )
    cells.v = "-60*mV + rand() * 10*mV"
    split = N * 4 // 5
    p = 0.02 if N == 4000 else 80 / N
    exc = b2.Synapses(cells[:split], cells, on_pre="ge += 1.62*mV")  # without a delay a spike acts in the next step
    exc.connect(p=p)
    inh = b2.Synapses(cells[split:], cells, on_pre="gi -= 9*mV")
    inh.connect(p=p)
    return [cells, exc, inh], cells


def brunel():
    cells = b2.NeuronGroup(
        N, "dv/dt = -v / (20*ms) : volt (unless refractory)", threshold="v > 20*mV", reset="v = 10*mV",
        refractory=2 * ms, method="exact", dt=0.1 * ms,
    )  # fmt: skip
    split, scale = N * 4 // 5, 12500 / N
    exc = b2.Synapses(cells[:split], cells, on_pre=f"v += {0.1 * scale}*mV", delay=1.5 * ms)
    exc.connect(p=0.1)
    inh = b2.Synapses(cells[split:], cells, on_pre=f"v -= {0.5 * scale}*mV", delay=1.5 * ms)
    inh.connect(p=0.1)
    noise = b2.PoissonInput(cells, "v", 1000, 20 * Hz, weight=0.1 * mV)
    return [cells, exc, inh, noise], cells


def answer(*numbers):
    print("\n@" + json.dumps(numbers), flush=True)


b2.set_device("cpp_standalone", directory=FOLDER, build_on_run=False)
b2.prefs.devices.cpp_standalone.openmp_threads = THREADS if THREADS > 1 else 0
b2.prefs.core.default_float_dtype = __import__("numpy").float32
b2.defaultclock.dt = 0.1 * ms
parts, cells = {"cuba": cuba, "brunel": brunel}[WORKLOAD]()
monitor = b2.SpikeMonitor(cells, record=False)
net = b2.Network(*parts, monitor)
net.run(50 * ms)
net.run(SPAN * ms, report="text")
b2.device.build(directory=FOLDER, compile=True, run=False, with_output=False)
answer()
for _ in sys.stdin:
    b2.device.run(directory=FOLDER, with_output=False, run_args=[])
    seconds = float(pathlib.Path(FOLDER, "results", "last_run_info.txt").read_text().split()[0])
    answer(seconds / SPAN * 1e3, monitor.num_spikes / N / (SPAN + 50.0) * 1e3)
