"""What the house is doing, and how to tell its battery what to do."""
