"""Tests of the algorithms; those over ALGORITHMS and SCENARIOS extend themselves to a new one."""
