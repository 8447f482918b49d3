"""Which metadata is trusted, by which source, and how fresh that knowledge is."""
