"""ESP images: what a file says of itself, and where it is kept."""
