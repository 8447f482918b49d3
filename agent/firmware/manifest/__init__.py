"""Release manifests, channels and halts: what they say, strictly parsed."""
