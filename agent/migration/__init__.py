"""Moving from Energy Export Monitor and PVAutonomy Ops: one owner at a time, settings kept."""
