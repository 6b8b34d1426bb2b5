"""Reads metrics.csv files, computes statistics, and draws the figures and tables of the benchmark.

Every module that makes an artefact is also a command (`python -m analysis.learning_curves --help`).
Nothing here trains or simulates: the only inputs are files and the scenario list.
"""
