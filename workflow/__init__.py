"""The workflow's own Python: which runs a suite needs, with which settings, and how far they are.

Nothing here imports torch, mujoco or pandas: Snakemake reads these modules at every call. The rules stay free of logic.
"""
