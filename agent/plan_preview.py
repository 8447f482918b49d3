"""
What would be planned if something were otherwise: the same question, turned and then forgotten.

A preview stands on the house as it is now and on what is known now; only what a person turned
differs. It changes no setting, is never carried out, and waits behind no plan.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from agent.house.series import Series
from agent.options import lives_in_options
from agent.plan_inputs import Known
from agent.plan_question import planned
from agent.setting_fields import SettingError, checked
from agent.settings import Settings

TURNED_SETTINGS = (
    "target_export_w",
    "min_soc_percent",
    "charge_target_soc_percent",
    "charge_power_kw",
    "battery_capacity_kwh",
)
TURNED_SERIES = ("sun_percent", "load_percent")
"""Parts of what is forecast; 100 leaves it as it is."""
LARGEST_PERCENT = 300.0


def turned_settings(settings: Settings, changes: Mapping[str, object]) -> Settings:
    """
    Return the settings that a preview is made with.

    Where nothing is planned at all, both plans are switched on in it: that is the question then.

    Raises:
        SettingError: something cannot be turned, or not so far.
    """
    for key, value in changes.items():
        _look_at(key, value)
    wanted = {key: value for key, value in changes.items() if key in TURNED_SETTINGS}
    now = planned(settings)
    if not now.discharge and not now.charge:
        wanted |= {"enable_ci_planning": True, "enable_charge_planning": True}
    return checked(Settings, {**settings.model_dump(), **wanted}, lives_in_options)


def turned_outlook(
    known: Known, load: Series, changes: Mapping[str, object]
) -> tuple[Known, Series]:
    """Return what a preview knows: sun and load as much more or less as somebody turned them."""
    sun, house = (_percent(changes, key) / 100.0 for key in TURNED_SERIES)
    return (
        replace(known, pv=known.pv.scaled(sun, known.pv.unit)),
        load.scaled(house, load.unit),
    )


def _look_at(key: str, value: object) -> None:
    if key not in (*TURNED_SETTINGS, *TURNED_SERIES):
        known = ", ".join((*TURNED_SETTINGS, *TURNED_SERIES))
        raise SettingError(key[:64], f"{key[:64]!r} cannot be turned in a preview; try: {known}.")
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise SettingError(key, f"{key} must be a number, for example 50.")
    if key in TURNED_SERIES and not 0 <= value <= LARGEST_PERCENT:
        raise SettingError(
            key, f"{key} must be 0 to {LARGEST_PERCENT:g} %; 100 is the forecast itself."
        )


def _percent(changes: Mapping[str, object], key: str) -> float:
    value = changes.get(key, 100.0)
    return float(value) if isinstance(value, int | float) else 100.0
