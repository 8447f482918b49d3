"""Flashing bridges from the running agent: jobs and campaigns bound to guard, releases and fleet."""
