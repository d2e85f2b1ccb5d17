"""How fast the program is, in ratios to limits and peers that are measured in the same run.

    python -m tests.bench --list
    python -m tests.bench one arrays --json results.json

A part (`parts/`) starts its contestants, loads them in turn, and reports rows (`results.py`): a figure, its aim, and
whether the aim is met. Where contestants take load, the part also reports what an event costs each process in CPU
time, which other work on the machine hardly changes. Peers (`peers/`) are programs that do the same in another way.
Needs Linux (CPU time and memory are read from /proc) and wrk.
"""
