"""Turns the pure parts into a run: step, loop, checkpoints."""
