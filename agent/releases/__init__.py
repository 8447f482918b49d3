"""What the running agent knows of firmware releases, and what it offers its bridges."""
