"""
The dispatch of an Alpha ESS inverter, with a dead-man of the bridge's own.

ESPHome's `modbus_controller` writes single values; a dispatch is nine registers in one frame, and
it has to end also when nobody is left to end it. See `dispatch.h`.
"""

import esphome.codegen as cg
import esphome.config_validation as cv
from esphome.components import modbus
from esphome.const import CONF_ID

DEPENDENCIES = ["modbus"]

CONF_CLIENT_GONE_FOR = "client_gone_for"
CONF_MAX_POWER_W = "max_power_w"

alphaess_dispatch_ns = cg.esphome_ns.namespace("alphaess_dispatch")
Dispatch = alphaess_dispatch_ns.class_("Dispatch", cg.Component, modbus.ModbusClientDevice)

CONFIG_SCHEMA = (
    cv.Schema(
        {
            cv.GenerateID(): cv.declare_id(Dispatch),
            cv.Required(CONF_CLIENT_GONE_FOR): cv.positive_time_period_milliseconds,
            cv.Required(CONF_MAX_POWER_W): cv.int_range(min=100, max=31999),
        }
    )
    .extend(cv.COMPONENT_SCHEMA)
    .extend(modbus.modbus_device_schema(0x55))
)

FINAL_VALIDATE_SCHEMA = modbus.final_validate_modbus_device("alphaess_dispatch", role="client")


async def to_code(config):
    """Make the component of a configuration."""
    var = cg.new_Pvariable(config[CONF_ID])
    await cg.register_component(var, config)
    await modbus.register_modbus_client_device(var, config)
    cg.add(var.set_client_gone_for(config[CONF_CLIENT_GONE_FOR]))
    cg.add(var.set_max_power(config[CONF_MAX_POWER_W]))
