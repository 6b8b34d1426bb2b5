"""Reads what runs left behind, computes statistics, and draws the figures and tables of the benchmark.

`python -m analysis NAME FILE ... --output BASE` makes one of them; workflow/artefacts.py lists them all.
Nothing here trains or simulates: the only inputs are files and the scenario list.
"""
