"""The life of a run: its folder, checkpoints, signals, memory and record; what decides a number stands in `core`."""
