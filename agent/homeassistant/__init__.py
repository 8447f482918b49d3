"""Speaking to Home Assistant Core and the Supervisor."""
