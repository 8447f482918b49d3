"""A house that obeys physics: PV, load, battery and an Alpha ESS inverter on Modbus TCP."""
