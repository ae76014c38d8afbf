"""NEST's side of benchmarks/networks.py: builds a network, then runs it at each line of input and answers with JSON."""

import json
import sys
import time

import nest

WORKLOAD, N, THREADS, SPAN = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])


def cuba():
    parameters = {"tau_m": 20.0, "C_m": 20.0, "E_L": -49.0, "V_th": -50.0, "V_reset": -60.0, "t_ref": 5.0,
                  "tau_syn_ex": 5.0, "tau_syn_in": 10.0, "V_m": nest.random.uniform(-60.0, -50.0)}  # fmt: skip
    cells = nest.Create("iaf_psc_exp", N, parameters)
    split = N * 4 // 5
    for pre, weight, count in ((cells[:split], 1.62, 64), (cells[split:], -9.0, 16)):
        rule = {"rule": "fixed_indegree", "indegree": count}
        rule = {"rule": "pairwise_bernoulli", "p": 0.02} if N == 4000 else rule
        nest.Connect(pre, cells, rule, {"weight": weight, "delay": 0.1})


def brunel():
    parameters = {"tau_m": 20.0, "C_m": 1.0, "E_L": 0.0, "V_m": 0.0, "V_th": 20.0, "V_reset": 10.0, "t_ref": 2.0}
    cells = nest.Create("iaf_psc_delta", N, parameters)
    split = N * 4 // 5
    for pre, weight, share in ((cells[:split], 0.1, 8), (cells[split:], -0.5, 2)):
        rule = {"rule": "fixed_indegree", "indegree": N * share // 100}
        nest.Connect(pre, cells, rule, {"weight": weight * 12500 / N, "delay": 1.5})
    noise = nest.Create("poisson_generator", params={"rate": 20_000.0})
    nest.Connect(noise, cells, syn_spec={"weight": 0.1, "delay": 1.5})


def conductances(model, **own):
    parameters = {"C_m": 200.0, "g_L": 10.0, "E_L": -60.0, "E_ex": 0.0, "E_in": -80.0, "tau_syn_ex": 5.0,
                  "tau_syn_in": 10.0, "I_e": 200.0, "V_m": nest.random.uniform(-65.0, -55.0), **own}  # fmt: skip
    cells = nest.Create(model, N, parameters)
    split = N * 4 // 5
    for pre, weight in ((cells[:split], 6.0), (cells[split:], -67.0)):
        nest.Connect(pre, cells, {"rule": "pairwise_bernoulli", "p": 0.02}, {"weight": weight, "delay": 0.1})


def coba():
    conductances("iaf_cond_exp", V_th=-50.0, V_reset=-60.0, t_ref=5.0)


def coba_hh():
    nest.resolution = 0.05
    conductances("hh_cond_exp_traub", E_K=-90.0, E_Na=50.0, g_Na=20000.0, g_K=6000.0, V_T=-63.0)


def answer(*numbers):
    print("\n@" + json.dumps(numbers), flush=True)


nest.verbosity = nest.VerbosityLevel.ERROR
nest.ResetKernel()
nest.local_num_threads, nest.resolution = THREADS, 0.1
{"cuba": cuba, "brunel": brunel, "coba": coba, "coba-hh": coba_hh}[WORKLOAD]()
nest.Prepare()
answer()
for _ in sys.stdin:
    start = time.perf_counter()
    nest.Run(SPAN)
    wall = time.perf_counter() - start
    answer(wall / SPAN * 1e3, nest.local_spike_counter / N / SPAN * 1e3)
