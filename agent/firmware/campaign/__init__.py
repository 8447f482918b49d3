"""Many flashes of one release: in what order, how many at once, when, and when no more."""
