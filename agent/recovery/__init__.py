"""Bridges on a cable, as the running agent sees, asks and writes them."""
