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


def conductances(equations, **how):
    names = {"el": -60 * mV, "ee": 0 * mV, "ei": -80 * mV, "gl": 10 * b2.nS, "ie": 200 * b2.pA, "c": 200 * b2.pF}
    equations += """
        dge/dt = -ge / (5*ms) : siemens
        dgi/dt = -gi / (10*ms) : siemens"""
    cells = b2.NeuronGroup(N, equations, method="exponential_euler", namespace=names, **how)
    cells.v = "-65*mV + rand() * 10*mV"
    split = N * 4 // 5
    exc = b2.Synapses(cells[:split], cells, on_pre="ge += 6*nS", delay=DELAY)
    exc.connect(p=0.02)
    inh = b2.Synapses(cells[split:], cells, on_pre="gi += 67*nS", delay=DELAY)
    inh.connect(p=0.02)
    return [cells, exc, inh], cells


def coba():
    current = "(gl*(el - v) + ge*(ee - v) + gi*(ei - v) + ie) / c"
    how = {"threshold": "v > -50*mV", "reset": "v = -60*mV", "refractory": 5 * ms}
    return conductances(f"dv/dt = {current} : volt (unless refractory)", **how)


def coba_hh():
    equations = """
        dv/dt = (gl*(el - v) + ge*(ee - v) + gi*(ei - v) + ie - 20000*nS*m**3*h*(v - 50*mV)
                 - 6000*nS*n**4*(v + 90*mV)) / c : volt
        dm/dt = 1.28/exprel((13 - u)/4)/ms*(1 - m) - 1.4/exprel((u - 40)/5)/ms*m : 1
        dh/dt = 0.128*exp((17 - u)/18)/ms*(1 - h) - 4/(1 + exp((40 - u)/5))/ms*h : 1
        dn/dt = 0.16/exprel((15 - u)/5)/ms*(1 - n) - 0.5*exp((10 - u)/40)/ms*n : 1
        u = (v + 63*mV) / mV : 1"""
    return conductances(equations, threshold="v > -20*mV", refractory="v > -20*mV")


def answer(*numbers):
    print("\n@" + json.dumps(numbers), flush=True)


b2.set_device("cpp_standalone", directory=FOLDER, build_on_run=False)
b2.prefs.devices.cpp_standalone.openmp_threads = THREADS if THREADS > 1 else 0
b2.prefs.core.default_float_dtype = __import__("numpy").float32
b2.defaultclock.dt = (0.05 if WORKLOAD == "coba-hh" else 0.1) * ms
# Without a delay a spike acts in the next step.
DELAY = 0.1 * ms if WORKLOAD == "coba-hh" else None
parts, cells = {"cuba": cuba, "brunel": brunel, "coba": coba, "coba-hh": coba_hh}[WORKLOAD]()
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
