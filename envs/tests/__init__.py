"""Tests of the environments; those over SCENARIOS extend themselves to a new scenario."""
