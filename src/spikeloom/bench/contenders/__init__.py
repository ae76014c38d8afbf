"""One file per contender. :mod:`spikeloom.bench.worker` runs it, under the interpreter that has its package.

A contender has ``load()``, which imports its package and returns versions; ``warm(spec)``, where something is to be
compiled first; and ``start(spec)``, which builds and returns what it found out (JSON values) and its actions, functions
without arguments that return JSON values. The time of ``warm`` counts as compiling, and its memory does not count.
Those of peers import nothing of spikeloom: it need not be installed beside them.
"""
