"""Every performance figure of the README, each runnable alone, each beside its peer."""
