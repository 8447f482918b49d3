"""Whether a release may go onto a bridge, and if not, why and what to do."""
