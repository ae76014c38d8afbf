"""Networks by Brian2, as a C++ program of its own that runs from the start each time.

The time is that of the loop over time alone, which the program reports; what it connects again every time is not in it.
"""

from __future__ import annotations

import importlib
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .timed import measure


def load() -> dict[str, str]:
    """What takes part in the numbers."""
    brian, numpy = importlib.import_module("brian2"), importlib.import_module("numpy")
    return {"brian2": brian.__version__, "numpy": numpy.__version__}


def start(spec: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Callable[[], Any]]]:
    """Generate and compile the program."""
    b, numpy = importlib.import_module("brian2"), importlib.import_module("numpy")
    kept = tempfile.TemporaryDirectory(prefix="brian-")
    folder = Path(kept.name)
    b.set_device("cpp_standalone", directory=str(folder), build_on_run=False)
    b.prefs.devices.cpp_standalone.openmp_threads = spec["threads"] if spec["threads"] > 1 else 0
    b.prefs.core.default_float_dtype = numpy.float32
    b.defaultclock.dt = {"coba-hh": 0.05, "izhikevich": 1.0}.get(spec["network"], 0.1) * b.ms
    begun = time.perf_counter()
    parts, cells = NETWORKS[spec["network"]](b, spec["n"])
    net = b.Network(*parts)
    net.run(spec["settle"] * b.ms)
    # Added now, so that it does not count what came before.
    monitor = b.SpikeMonitor(cells, record=False)
    net.add(monitor)
    net.run(spec["span"] * b.ms)
    built = time.perf_counter()
    b.device.build(directory=str(folder), compile=True, run=False, with_output=False)
    facts = {"build": built - begun, "compile": time.perf_counter() - built}
    counted = Path(b.device.get_array_filename(monitor.variables["N"])).name
    peaks: list[float] = []

    def run() -> dict[str, float]:
        peaks.append(_program(folder, kept))
        results = folder / "results"
        seconds = float((results / "last_run_info.txt").read_text().split()[0])
        (file,) = results.glob(f"{counted}*")
        return measure(spec, seconds, int(numpy.fromfile(file, numpy.int32)[0]))

    def memory() -> dict[str, float]:
        return {"before": 0.0, "peak": max(peaks, default=0.0)}

    return facts, {"settle": dict, "run": run, "memory": memory}


def _program(folder: Path, kept: Any) -> float:
    """Run the program; its peak of memory in MiB."""
    (folder / "results").mkdir(exist_ok=True)
    process = subprocess.Popen([str(folder / "main")], cwd=kept.name, stdout=subprocess.DEVNULL)
    highest = 0.0
    while process.poll() is None:
        try:
            lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
            highest = next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM")), highest)
        except OSError:
            pass
        time.sleep(0.02)
    if process.returncode:
        raise RuntimeError(f"the program of Brian2 ended with exit code {process.returncode}")
    return highest


def cuba(b: Any, n: int) -> tuple[list[Any], Any]:
    """All parts, and the neurons among them; without a delay a spike acts in the next step."""
    equations = """dv/dt = (rise + fall - (v + 49*mV)) / (20*ms) : volt (unless refractory)
                   drise/dt = -rise / (5*ms) : volt
                   dfall/dt = -fall / (10*ms) : volt"""
    how = {"threshold": "v > -50*mV", "reset": "v = -60*mV", "refractory": 5 * b.ms, "method": "exact"}
    cells = b.NeuronGroup(n, equations, **how)
    cells.v = "-60*mV + rand() * 10*mV"
    return _wired(b, cells, n, 0.02, ("rise += 1.62*mV", "fall -= 9*mV"), counts=None if n == 4000 else (64, 16)), cells


def brunel(b: Any, n: int) -> tuple[list[Any], Any]:
    """The same, with Poisson input."""
    how = {"threshold": "v > 20*mV", "reset": "v = 10*mV", "refractory": 2 * b.ms, "method": "exact"}
    cells = b.NeuronGroup(n, "dv/dt = -v / (20*ms) : volt (unless refractory)", **how)
    scale = 12500 / n
    parts = _wired(b, cells, n, 0.1, (f"v += {0.1 * scale}*mV", f"v -= {0.5 * scale}*mV"), delay=1.5 * b.ms)
    return [*parts, b.PoissonInput(cells, "v", 1000, 20 * b.Hz, weight=0.1 * b.mV)], cells


def coba(b: Any, n: int) -> tuple[list[Any], Any]:
    """By exponential Euler."""
    current = "(gl*(el - v) + ge*(ee - v) + gi*(ei - v) + ie) / c"
    how = {"threshold": "v > -50*mV", "reset": "v = -60*mV", "refractory": 5 * b.ms}
    return _conductances(b, n, f"dv/dt = {current} : volt (unless refractory)", None, how)


def coba_hh(b: Any, n: int) -> tuple[list[Any], Any]:
    """By exponential Euler in steps of 0.05 ms."""
    equations = """
        dv/dt = (gl*(el - v) + ge*(ee - v) + gi*(ei - v) + ie - 20000*nS*(m*m*m)*h*(v - 50*mV)
                 - 6000*nS*(n*n*n*n)*(v + 90*mV)) / c : volt
        dm/dt = 1.28/exprel((13 - u)/4)/ms*(1 - m) - 1.4/exprel((u - 40)/5)/ms*m : 1
        dh/dt = 0.128*exp((17 - u)/18)/ms*(1 - h) - 4/(1 + exp((40 - u)/5))/ms*h : 1
        dn/dt = 0.16/exprel((15 - u)/5)/ms*(1 - n) - 0.5*exp((10 - u)/40)/ms*n : 1
        u = (v + 63*mV) / mV : 1"""
    how = {"threshold": "v > -20*mV", "refractory": "v > -20*mV"}
    return _conductances(b, n, equations, 0.1 * b.ms, how)


def _conductances(b: Any, n: int, equations: str, delay: Any, how: dict[str, Any]) -> tuple[list[Any], Any]:
    names = {"el": -60 * b.mV, "ee": 0 * b.mV, "ei": -80 * b.mV, "gl": 10 * b.nS, "ie": 200 * b.pA, "c": 200 * b.pF}
    decays = """
        dge/dt = -ge / (5*ms) : siemens
        dgi/dt = -gi / (10*ms) : siemens"""
    cells = b.NeuronGroup(n, equations + decays, method="exponential_euler", namespace=names, **how)
    cells.v = "-65*mV + rand() * 10*mV"
    return _wired(b, cells, n, 0.02, ("ge += 6*nS", "gi += 67*nS"), delay=delay), cells


def _wired(
    b: Any, cells: Any, n: int, p: float, effects: tuple[str, str], delay: Any = None,
    counts: tuple[int, int] | None = None,
) -> list[Any]:  # fmt: skip
    """Each pair with a chance of ``p``; or each neuron has so many inputs of either kind, which changes the rate."""
    numpy = importlib.import_module("numpy")
    random = numpy.random.default_rng(1)
    split, parts, more = n * 4 // 5, [cells], {} if delay is None else {"delay": delay}
    for kind, (first, end) in enumerate(((0, split), (split, n))):
        synapses = b.Synapses(cells[first:end], cells, on_pre=effects[kind], **more)
        if counts is None:
            synapses.connect(p=p)
        else:
            sources = random.integers(0, end - first, n * counts[kind])
            targets = numpy.repeat(numpy.arange(n), counts[kind])
            synapses.connect(i=sources, j=targets)
        parts.append(synapses)
    return parts


def izhikevich(b: Any, n: int) -> tuple[list[Any], Any]:
    """The steps of the author's script; a spike is part of the current of the next step."""
    equations = "v : 1\nu : 1\na : 1\nb : 1\nc : 1\nd : 1\nspread : 1\nfed : 1\ni_in : 1"
    cells = b.NeuronGroup(n, equations, threshold="v >= 30", reset="v = c; u += d")
    steps = """i_in = spread*randn() + fed
               v += 0.5*(0.04*v*v + 5*v + 140 - u + i_in)
               v += 0.5*(0.04*v*v + 5*v + 140 - u + i_in)
               u += a*(b*v - u)
               fed = 0"""
    cells.run_regularly(steps, when="groups")
    split = n * 4 // 5
    # One number a neuron decides its kind, as in the script.
    cells.spread = "rand()"
    outer = f"int(i < {split})"
    cells.a = f"0.02 + (1 - {outer})*0.08*spread"
    cells.b = f"0.2*{outer} + (1 - {outer})*(0.25 - 0.05*spread)"
    cells.c = f"-65 + {outer}*15*spread*spread"
    cells.d = f"{outer}*(8 - 6*spread*spread) + (1 - {outer})*2"
    cells.spread = f"2 + {outer}*3"
    cells.v, cells.u = -65, "-65*b"
    synapses = b.Synapses(cells, cells, "w : 1", on_pre="fed_post += w")
    synapses.connect()
    synapses.w = f"rand()*(0.5*int(i < {split}) - int(i >= {split}))"
    return [cells, synapses], cells


NETWORKS: dict[str, Callable[[Any, int], tuple[list[Any], Any]]] = {
    "cuba": cuba, "brunel": brunel, "coba": coba, "coba-hh": coba_hh, "izhikevich": izhikevich,
}  # fmt: skip
