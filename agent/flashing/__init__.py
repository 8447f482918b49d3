"""Flashing bridges from the running agent, bound to guard, releases and fleet."""
