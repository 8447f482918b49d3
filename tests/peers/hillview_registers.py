"""
The 141 holding registers that the Hillview package polls, as a table.

Ids, addresses, types, scales and scan intervals are those of version 9.9 of the package that the
users of the old integration run; the text is our own. What control reads comes first and polls
fastest; the rest is here because a hub with few sensors answers sooner than a real one does.
"""

from __future__ import annotations

from dataclasses import dataclass

# key (sensor.alphaess_<key>), address, type, scale, unit, seconds between readings
TABLE = """
# power: what the control loop lives on
power_grid                                0x0021  int32   1      W    1
power_battery                             0x0126  int16   1      W    1
active_power_pv_meter                     0x00A1  int32   1      W    1
pv1_power                                 0x041F  uint32  1      W    1
pv2_power                                 0x0423  uint32  1      W    1
pv3_power                                 0x0427  uint32  1      W    1
pv4_power                                 0x042B  uint32  1      W    1
power_phase_a_grid                        0x001B  int32   1      W    5
power_phase_b_grid                        0x001D  int32   1      W    5
power_phase_c_grid                        0x001F  int32   1      W    5
power_inverter_l1                         0x0406  int32   1      W    5
power_inverter_l2                         0x0408  int32   1      W    5
power_inverter_l3                         0x040A  int32   1      W    5
power_inverter                            0x040C  int32   1      W    5
backup_power_inverter                     0x041A  int32   1      W    5
# the dispatch block, and the inverter's own limit of the export
dispatch_start                            0x0880  int16   1      -    5
dispatch_active_power                     0x0881  int32   1      W    5
dispatch_reactive_power                   0x0883  int32   1      var  5
dispatch_mode                             0x0885  int16   1      -    5
dispatch_soc                              0x0886  int16   0.392  %    5
dispatch_time                             0x0887  uint32  1      s    5
max_feed_to_grid                          0x0800  uint16  1      %    5
inverter_work_mode                        0x0440  int16   1      -    5
# battery
soc_battery                               0x0102  int16   0.1    %    10
soh_battery                               0x011B  int16   0.1    %    10
voltage_battery                           0x0100  int16   0.1    V    10
current_battery                           0x0101  int16   0.1    A    10
battery_status                            0x0103  int16   1      -    60
battery_max_charge_current                0x0111  uint16  0.1    A    10
battery_max_discharge_current             0x0112  uint16  0.1    A    10
battery_remaining_time                    0x0127  int16   1      min  60
battery_min_cell_temperature              0x010D  int16   0.1    °C   60
battery_max_cell_temperature              0x0110  int16   0.1    °C   60
# energy counters
total_energy_feed_to_grid_meter           0x0010  uint32  0.01   kWh  60
total_energy_consumption_from_grid_meter  0x0012  uint32  0.01   kWh  60
total_energy_feed_to_grid_pv              0x0090  uint32  0.01   kWh  60
total_energy_charge_battery               0x0120  uint32  0.1    kWh  60
total_energy_discharge_battery            0x0122  uint32  0.1    kWh  60
total_energy_charge_battery_from_grid     0x0124  uint32  0.1    kWh  60
total_energy_from_pv                      0x043E  uint32  0.1    kWh  60
# faults and warnings
system_fault                              0x08D4  uint32  1      -    5
inverter_warning_1                        0x0436  uint32  1      -    5
inverter_warning_2                        0x0438  uint32  1      -    5
inverter_fault_1                          0x043A  uint32  1      -    5
inverter_fault_2                          0x043C  uint32  1      -    5
battery_warning                           0x011C  uint32  1      -    5
battery_fault                             0x011E  uint32  1      -    5
# schedule and clock
charging_time_period_control              0x084F  int16   1      -    10
discharging_cutoff_soc                    0x0850  int16   1      %    30
charging_cutoff_soc                       0x0855  int16   1      %    10
discharging_period_1_start_hour           0x0851  int16   1      -    30
discharging_period_1_stop_hour            0x0852  int16   1      -    30
discharging_period_2_start_hour           0x0853  int16   1      -    30
discharging_period_2_stop_hour            0x0854  int16   1      -    30
charging_period_1_start_hour              0x0856  int16   1      -    30
charging_period_1_stop_hour               0x0857  int16   1      -    30
charging_period_2_start_hour              0x0858  int16   1      -    30
charging_period_2_stop_hour               0x0859  int16   1      -    30
discharging_period_1_start_minute         0x085A  int16   1      -    30
discharging_period_1_stop_minute          0x085B  int16   1      -    30
discharging_period_2_start_minute         0x085C  int16   1      -    30
discharging_period_2_stop_minute          0x085D  int16   1      -    30
charging_period_1_start_minute            0x085E  int16   1      -    30
charging_period_1_stop_minute             0x085F  int16   1      -    30
charging_period_2_start_minute            0x0860  int16   1      -    30
charging_period_2_stop_minute             0x0861  int16   1      -    30
system_time_yymm                          0x0740  int16   1      -    5
system_time_ddhh                          0x0741  int16   1      -    5
system_time_mmss                          0x0742  int16   1      -    5
# strings, phases and the inverter itself
pv1_voltage                               0x041D  uint16  0.1    V    10
pv1_current                               0x041E  uint16  0.1    A    10
pv2_voltage                               0x0421  uint16  0.1    V    10
pv2_current                               0x0422  uint16  0.1    A    10
pv3_voltage                               0x0425  uint16  0.1    V    10
pv3_current                               0x0426  uint16  0.1    A    10
pv4_voltage                               0x0429  uint16  0.1    V    10
pv4_current                               0x042A  uint16  0.1    A    10
voltage_phase_a_grid                      0x0014  int16   1      V    5
voltage_phase_b_grid                      0x0015  int16   1      V    5
voltage_phase_c_grid                      0x0016  int16   1      V    5
voltage_inverter_l1                       0x0400  uint16  0.1    V    10
voltage_inverter_l2                       0x0401  uint16  0.1    V    10
voltage_inverter_l3                       0x0402  uint16  0.1    V    10
frequency_grid                            0x041C  uint16  0.01   Hz   10
inverter_temperature                      0x0435  int16   0.1    °C   30
# installation
pv_capacity_storage                       0x0801  uint32  1      W    60
pv_capacity_of_grid_inverter              0x0803  uint32  1      W    60
ct_rate_grid                              0x0001  uint16  1      -    60
ct_rate_pv                                0x0081  uint16  1      -    60
local_ip                                  0x0808  uint32  1      -    60
subnet_mask                               0x080A  uint32  1      -    60
gateway                                   0x080C  uint32  1      -    60
modbus_address                            0x080E  uint16  1      -    60
modbus_baud_rate                          0x0810  uint16  1      -    60
bms_version                               0x0115  uint16  1      -    60
lmu_version                               0x0116  uint16  1      -    60
iso_version                               0x0117  uint16  1      -    60
inverter_version                          0x0640  uint16  1      -    60
inverter_arm_version                      0x0645  uint16  1      -    60
ems_version_high                          0x074B  uint16  1      -    60
ems_version_middle                        0x074C  uint16  1      -    60
ems_version_low                           0x074D  uint16  1      -    60
# grid code
grid_regulation                           0x1000  uint16  1      -    60
ovp_l1                                    0x100B  uint16  0.1    V    60
ovp_l1_time                               0x100C  uint16  1      ms   60
ovp_l2                                    0x100D  uint16  0.1    V    60
ovp_l2_time                               0x100E  uint16  1      ms   60
ovp_l3                                    0x100F  uint16  0.1    V    60
ovp_l3_time                               0x1010  uint16  1      ms   60
uvp_l1                                    0x1011  uint16  0.1    V    60
uvp_l1_time                               0x1012  uint16  1      ms   60
uvp_l2                                    0x1013  uint16  0.1    V    60
uvp_l2_time                               0x1014  uint16  1      ms   60
uvp_l3                                    0x1015  uint16  0.1    V    60
uvp_l3_time                               0x1016  uint16  1      ms   60
ofp_l1                                    0x1017  uint16  0.01   Hz   60
ofp_l1_time                               0x1018  uint16  1      ms   60
ofp_l2                                    0x1019  uint16  0.01   Hz   60
ofp_l2_time                               0x101A  uint16  1      ms   60
ofp_l3                                    0x101B  uint16  0.01   Hz   60
ofp_l3_time                               0x101C  uint16  1      ms   60
ufp_l1                                    0x101D  uint16  0.01   Hz   60
ufp_l1_time                               0x101E  uint16  1      ms   60
ufp_l2                                    0x101F  uint16  0.01   Hz   60
ufp_l2_time                               0x1020  uint16  1      ms   60
ufp_l3                                    0x1021  uint16  0.01   Hz   60
ufp_l3_time                               0x1022  uint16  1      ms   60
ovp_10_minutes                            0x1023  uint16  0.1    V    60
ovp_10_minutes_time                       0x1024  uint16  1      ms   60
# battery packs
battery_pack_1_warning                    0x0131  uint32  1      -    60
battery_pack_1_fault                      0x0133  uint32  1      -    60
battery_pack_2_warning                    0x0135  uint32  1      -    60
battery_pack_2_fault                      0x0137  uint32  1      -    60
battery_pack_3_warning                    0x0139  uint32  1      -    60
battery_pack_3_fault                      0x013B  uint32  1      -    60
battery_pack_4_warning                    0x013D  uint32  1      -    60
battery_pack_4_fault                      0x013F  uint32  1      -    60
battery_pack_5_warning                    0x0141  uint32  1      -    60
battery_pack_5_fault                      0x0143  uint32  1      -    60
battery_pack_6_warning                    0x0145  uint32  1      -    60
battery_pack_6_fault                      0x0147  uint32  1      -    60
"""
HUB = "modbuspvsystem"
UNIT = 85
OFFSETS = {"dispatch_active_power": -32_000, "dispatch_reactive_power": -32_000}
DEVICE_CLASSES = {
    "W": "power",
    "V": "voltage",
    "A": "current",
    "Hz": "frequency",
    "kWh": "energy",
    "°C": "temperature",
}


@dataclass(frozen=True, slots=True)
class Register:
    """One sensor of the package."""

    key: str
    address: int
    data_type: str
    scale: float
    unit: str | None
    scan_s: int

    @property
    def count(self) -> int:
        """Registers of 16 bits that one reading takes."""
        return 2 if self.data_type.endswith("32") else 1

    @property
    def offset(self) -> int:
        """Added after scaling: powers of a dispatch are written with 32000 on top."""
        return OFFSETS.get(self.key, 0)

    @property
    def device_class(self) -> str | None:
        """Home Assistant's class for what is measured."""
        if self.key == "soc_battery":
            return "battery"
        return DEVICE_CLASSES.get(self.unit or "")

    @property
    def state_class(self) -> str | None:
        """Counters only rise; what has another unit is measured; codes are neither."""
        if self.unit is None:
            return None
        return "total_increasing" if self.unit == "kWh" else "measurement"

    @property
    def decimals(self) -> int:
        """What the scale gives; a dispatch cut-off is shown in whole percent and a bit."""
        return len(f"{self.scale:g}".partition(".")[2])


def _parse(line: str) -> Register:
    key, address, data_type, scale, unit, scan_s = line.split()
    unit_or_none = None if unit == "-" else unit
    return Register(key, int(address, 16), data_type, float(scale), unit_or_none, int(scan_s))


REGISTERS = tuple(_parse(line) for line in TABLE.split("\n") if line and line[0] != "#")
