"""Which ESPHome bridges the house has, and how each of them is."""
