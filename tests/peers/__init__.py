"""The real programs that tests talk to, and the table of who was real in a run."""
