"""Tests of the agent: one folder per room, `peers` for the real programs they talk to."""
