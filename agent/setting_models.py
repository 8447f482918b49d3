"""
Every setting of the energy guard: typed, with unit, range, default and one sentence.

These live in `settings.json` in the data directory and are set on the page or by their entity.
What the agent must know before it can reach a page or a broker lives in `agent.options`; no key
is in both. Defaults never command a battery: the mode is `observe` and there is no limit yet.

Source: the options of Energy Export Monitor v1.9.17 and the thresholds of its production guide.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, Field, model_validator

from agent.setting_entities import FROZEN, Entities
from agent.setting_fields import (
    Group,
    Number,
    TimeOfDay,
    Whole,
    Zone,
    one_of,
    said,
)
from agent.setting_flashing import FlashSettings
from agent.setting_releases import ReleaseSettings
from agent.setting_texts import BridgeList, MacText, Networks, Region, RoofText, Tariff

_site = Group("Site and mode")
_limit = Group("Limits")
_battery = Group("Battery")
_plan = Group("Plans and windows")
_path = Group("Path to the inverter")
_timing = Group("Freshness and timing")
_bridges = Group("Bridges")


class Settings(BaseModel):
    """Everything that a person may change while the agent runs."""

    model_config = FROZEN

    mode: Literal["observe", "control"] = _site.choice(
        "observe", ("observe", "control"), "`observe` shows decisions, `control` carries them out."
    )
    time_zone: Zone = _site.other(
        "zone", "", "Europe/London", "Zone of days and windows; empty takes Home Assistant's."
    )
    entity_prefix: Literal["export_monitor", "energy_export_monitor"] = _site.choice(
        "export_monitor",
        ("export_monitor", "energy_export_monitor"),
        "First part of the names of the agent's entities in Home Assistant.",
    )

    export_limit_w: Number | None = _limit.number(
        None,
        (0, 50_000, 10),
        "W",
        "Hard cap of the power fed to the grid; required before the first command. "
        "0 means that a dispatch never exceeds what the house uses.",
        example=3680,
    )
    target_export_w: Number = _limit.number(
        0,
        (0, 5000, 100),
        "W",
        "Grid export wanted while discharging; at 0 a start is refused (`target_is_zero`).",
        example=3600,
    )
    safety_margin_kwh: Number = _limit.number(
        0.5,
        (0, 20, 0.1),
        "kWh",
        "Subtracted from the day's allowance. Energy Export Monitor added a value of this name: "
        "what your contract grants on top is `tolerance_kwh` here.",
    )
    tolerance_kwh: Number = _limit.number(
        0, (0, 20, 0.1), "kWh", "Added to the day's allowance, because the contract grants it."
    )
    allowance_basis: Literal["produced", "classic"] = _limit.choice(
        "produced",
        ("produced", "classic"),
        "`produced` allows what was produced so far; `classic` the larger of production and "
        "forecast, as Energy Export Monitor did.",
    )
    forecast_credit_percent: Number = _limit.number(
        0,
        (0, 100, 5),
        "%",
        "Share of today's forecast that counts as if it were produced; with `classic` all of it "
        "does. It is a risk: over 400 simulated days with a forecast that changes, 50 % ended "
        "0.5 % of the days over the allowance when exporting in the morning, 14 % in the evening "
        "and 29 % all day; 70 % ended 4, 18 and 45 % of them so. 0 ended none.",
        example=0,
    )
    allowance_period: Literal["day", "rolling_24h", "both"] = _limit.choice(
        "day",
        ("day", "rolling_24h", "both"),
        "`day` compares what was produced and exported since midnight, `rolling_24h` within the "
        "last 24 hours, `both` takes the smaller headroom. Until the last 24 hours are all known, "
        "the day counts too.",
    )
    min_soc_percent: Number = _limit.number(
        20, (4, 100, 1), "%", "No discharge at or below this; also the inverter's cut-off."
    )
    observe_reserve_soc: bool = _limit.switch(
        "Also keep the state of charge that the entity `entities.reserve_soc` asks for."
    )

    feed_in_limit_percent: Number | None = _limit.number(
        None,
        (0, 100, 1),
        "%",
        "The inverter's own feed-in limit (Max Feed to Grid) while the agent controls: never above "
        "what is set there, and put back at the end. A slow second net against the sun.",
        example=70,
    )

    battery_capacity_kwh: Number = _battery.number(
        10.0, (0.5, 100, 0.1), "kWh", "Usable capacity of the battery."
    )
    max_discharge_w: Number = _battery.number(
        5000, (300, 15_000, 100), "W", "Strongest discharge that is ever commanded."
    )
    min_discharge_w: Number = _battery.number(
        300, (100, 5000, 50), "W", "Weakest discharge worth commanding; below it there is none."
    )
    charge_power_kw: Number = _battery.number(
        3.68, (0.1, 10, 0.01), "kW", "Power of forced charge, and of the plan for it."
    )
    charge_target_soc_percent: Number = _battery.number(
        100, (4, 100, 1), "%", "Forced charge ends here."
    )

    enable_ci_planning: bool = _plan.switch(
        "Plan discharge: when to export, and how much.", "false"
    )
    enable_charge_planning: bool = _plan.switch(
        "Plan charge: when to fill the battery from the grid.", "false"
    )
    enable_auto_discharge: bool = _plan.switch(
        "Carry out the discharge plan, and plan it; only in `control`.", "false"
    )
    enable_auto_charge: bool = _plan.switch(
        "Carry out the charge plan, and plan it; only in `control`.", "false"
    )
    enable_rest: bool = _plan.switch(
        "Plans may let the battery rest: keep its charge for a better hour, or leave sun to the "
        "grid that the battery would take; needs one of the other plan switches.",
        "false",
        default=True,
    )
    plan_aim: Literal["carbon", "money", "both"] = _plan.choice(
        "carbon",
        ("carbon", "money", "both"),
        "What a plan saves: the grid's carbon dioxide, money, or money with a price on each "
        "kilogram (`carbon_price_per_kg`).",
    )
    carbon_price_per_kg: Number = _plan.number(
        0.1,
        (0, 10, 0.01),
        "per kg",
        "What a kilogram of carbon dioxide is worth to you, in your currency; for `both`.",
    )
    wear_per_kwh: Number = _plan.number(
        0.01,
        (0, 1, 0.005),
        "per kWh",
        "What the battery loses per kWh that it gives, in your currency; a plan has to earn it. "
        "Plans for `carbon` count 5 g instead.",
    )
    buy_tariff: Tariff = _plan.other(
        "tariff",
        "",
        "00:00 0.07, 05:30 0.27",
        "Price of what is imported, per kWh, by the site's time of day; for homes without "
        "`entities.buy_rates`.",
        max_length=600,
    )
    sell_tariff: Tariff = _plan.other(
        "tariff", "", "0.15", "Price of what is exported, in the same way.", max_length=600
    )
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")] = _plan.other(
        "currency", "GBP", "EUR", "Of all prices here."
    )
    carbon_region: Region = _plan.other(
        "region",
        "",
        "SW1A",
        "Ask carbonintensity.org.uk for this region of Great Britain, where no "
        "`entities.ci_forecast` is found; empty asks nobody.",
    )
    roof: RoofText = _plan.other(
        "roof",
        "",
        "51.5, -0.1, 35, 0, 4.2",
        "Ask api.forecast.solar for this roof, where no `entities.forecast_today` is found: "
        "latitude, longitude, tilt, azimuth (south 0, west 90), kW of peak power; empty asks "
        "nobody.",
        max_length=100,
    )
    import_limit_w: Number = _plan.number(
        15_000, (500, 50_000, 100), "W", "Plans never charge beyond this import from the grid."
    )
    round_trip_percent: Number = _plan.number(
        90, (50, 100, 1), "%", "How much of what goes into the battery comes out again."
    )
    battery_floor_percent: Number = _plan.number(
        4, (0, 50, 1), "%", "The house may empty the battery to this; the inverter's own minimum."
    )
    export_window_start: TimeOfDay = _plan.other(
        "time", "00:00", "16:00", "Discharge only from this time of the site's day."
    )
    export_window_end: TimeOfDay = _plan.other(
        "time",
        "00:00",
        "19:00",
        "Discharge until just before this time; equal to the start means the whole day, earlier "
        "wraps past midnight. 23:59 leaves the last minute out.",
    )
    charge_window_start: TimeOfDay = _plan.other(
        "time", "00:00", "00:30", "Charge only from this time of the site's day."
    )
    charge_window_end: TimeOfDay = _plan.other(
        "time", "06:00", "05:30", "Charge until just before this time; same rules."
    )

    path: Literal["ha_register", "ha_helpers", "bridge"] = _path.choice(
        "ha_register",
        ("ha_register", "ha_helpers", "bridge"),
        "How commands reach the inverter: registers through Home Assistant's Modbus hub, the "
        "package's own helpers, or the ESPHome bridge of `path_bridge`.",
    )
    modbus_hub: Annotated[str, Field(min_length=1, max_length=100)] = _path.other(
        "text", "modbuspvsystem", "modbuspvsystem", "Name of Home Assistant's Modbus hub."
    )
    modbus_unit: Whole = _path.number(
        85, (1, 247, 1), "", "Modbus address of the inverter; some hubs call it slave."
    )
    dispatch_soc_scale: Annotated[Number, one_of(0.392, 0.4)] = _path.choice(
        0.392, (0.392, 0.4), "Percent per bit of the cut-off: 0.392 in the field, 0.4 on paper."
    )

    stale_warning_s: Number = _timing.number(
        15, (1, 60, 1), "s", "A power value older than this is reported."
    )
    stale_after_s: Number = _timing.number(
        30,
        (5, 60, 1),
        "s",
        "A power value older than this ends a discharge; with a direct connection 18 s at most.",
    )
    soc_stale_after_s: Number = _timing.number(
        120, (10, 900, 10), "s", "A state of charge older than this ends a discharge."
    )
    service_timeout_s: Number = _timing.number(
        5, (1, 60, 1), "s", "Longest wait for an ordinary call to Home Assistant."
    )
    write_deadline_s: Number = _timing.number(
        30, (5, 60, 1), "s", "A command not answered within this counts as unconfirmed."
    )
    breaker_failures: Whole = _timing.number(
        5, (1, 20, 1), "", "Failures in a row after which new operations pause."
    )
    breaker_pause_s: Number = _timing.number(
        60, (5, 3600, 5), "s", "Length of that pause; supervision and stops go on."
    )
    minimum_off_s: Number = _timing.number(
        60, (0, 3600, 10), "s", "Shortest rest between the end of a discharge and the next start."
    )

    bridges: Literal["watch", "off"] = _bridges.choice(
        "watch",
        ("watch", "off"),
        "`watch` finds the ESPHome devices of the house and keeps a connection to each; `off` "
        "leaves them alone.",
    )
    bridge_list: BridgeList = _bridges.other(
        "bridges",
        "",
        "192.168.1.20, bridge-2.local",
        "Bridges that nobody announces: an address or host name each. Behind it may stand the "
        "port of the API, that for uploads, and the MAC: `192.168.1.20:6053/3232 = "
        "02:00:5E:10:00:01`.",
        max_length=2000,
    )
    bridge_networks: Networks = _bridges.other(
        "networks",
        "",
        "all",
        "Also hear announcements here, beside Home Assistant: `all` networks of this machine, or "
        "those of the addresses given. For a machine or container in the house's own network.",
        max_length=200,
    )

    strict_gates: bool = _bridges.switch(
        "A gate that warns blocks an update of the bridge, as one that fails does.", default=True
    )
    gates_fresh_min: Number = _bridges.number(
        10, (1, 60, 1), "min", "How long the verdict of a bridge's gates is believed."
    )
    path_bridge: MacText = _bridges.other(
        "mac",
        "",
        "02:00:5E:10:00:01",
        "MAC of the bridge on the inverter's RS485 line, for the path `bridge`. Its key is entered "
        "under *Bridges*; its address is found, or written down in `bridge_list`.",
        max_length=40,
    )
    fallback_path: Literal["none", "ha_register", "ha_helpers", "bridge"] = _bridges.choice(
        "none",
        ("none", "ha_register", "ha_helpers", "bridge"),
        "Used while `path` has been away for a minute, once it was commissioned as `path` was; "
        "`none` waits for `path` to come back.",
    )

    releases: ReleaseSettings = ReleaseSettings()
    flashing: FlashSettings = FlashSettings()
    entities: Entities = Entities()

    @model_validator(mode="after")
    def _available(self) -> Self:
        """Refuse what would silently do nothing."""
        if "bridge" in self.paths and not self.path_bridge:
            raise said(
                "path_bridge",
                "path_bridge: the path bridge needs the MAC of its bridge; for example "
                "02:00:5E:10:00:01",
            )
        if "bridge" in self.paths and self.bridges == "off":
            raise said(
                "bridges",
                "bridges: the path bridge needs the connection to its bridge; set it to watch",
            )
        if self.fallback_path == self.path:
            raise said(
                "fallback_path",
                f"fallback_path: {self.fallback_path} is the path already; choose another one or "
                "none",
            )
        return self

    @property
    def paths(self) -> tuple[str, ...]:
        """The ways to the inverter that may be used, the wanted one first."""
        return (self.path,) if self.fallback_path == "none" else (self.path, self.fallback_path)

    @model_validator(mode="after")
    def _writable(self) -> Self:
        """Refuse what the chosen path cannot write."""
        if self.feed_in_limit_percent is not None and self.path == "bridge":
            raise said(
                "feed_in_limit_percent",
                "feed_in_limit_percent: the bridge shows the limit and cannot set it; leave this "
                "unset, or use the path ha_register",
            )
        if self.feed_in_limit_percent is not None and self.path == "ha_helpers":
            raise said(
                "feed_in_limit_percent",
                "feed_in_limit_percent: the path ha_helpers has no way to read the limit back and "
                "put it back safely; use the path ha_register, or leave this unset and move the "
                "package's own slider Max Feed to Grid",
            )
        return self

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if not self.stale_warning_s < self.stale_after_s:
            raise said(
                "stale_warning_s",
                f"stale_warning_s: {self.stale_warning_s:g} s must be below stale_after_s, which "
                f"is {self.stale_after_s:g} s; for example {self.stale_after_s / 2:g}",
            )
        if self.min_discharge_w > self.max_discharge_w:
            raise said(
                "min_discharge_w",
                f"min_discharge_w: {self.min_discharge_w:g} W must not exceed max_discharge_w, "
                f"which is {self.max_discharge_w:g} W; for example 300",
            )
        return self
