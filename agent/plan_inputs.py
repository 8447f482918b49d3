"""
What is known of the hours to come, from the sources that the settings name.

An entity that is named or found wins; then what a person wrote down; then a service, and only where
a region or a roof was given. A source that fails leaves an empty series with its reason, and the
plan says so: nothing here can reach the guard.

Source: export_monitor.md, section 5; D-35 to D-38.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo

from agent.clock import local_day
from agent.export.plan_slots import LONGEST
from agent.homeassistant.states import EntityState
from agent.house import forecast_service as service
from agent.house.forecast import Shape, pv_shape, read
from agent.house.forecast_grid import CARBON, TableRow, table
from agent.house.forecast_pv import WATTS
from agent.house.forecast_service import ForecastService, Question
from agent.house.hass_entities import ids
from agent.house.series import Series, Stretch, empty
from agent.setting_texts import roof, tariff
from agent.settings import Settings

_TODAY = "sensor.solcast_pv_forecast_forecast_today"
_TOMORROW = "sensor.solcast_pv_forecast_forecast_tomorrow"
_CARBON = "sensor.carbon_intensity_uk"
_LONGEST_NIGHT = timedelta(hours=14)


@dataclass(frozen=True, slots=True)
class Known:
    """The outlook as its sources give it."""

    pv: Series
    carbon: Series
    buy: Series
    sell: Series
    unset: frozenset[str] = frozenset()
    """Fields above whose source nobody has named and Home Assistant does not have by itself."""


def entity_ids(settings: Settings) -> frozenset[str]:
    """Return every entity that a forecast may come from."""
    chosen = settings.entities
    named = (*_pv_ids(settings), *ids(chosen.ci_forecast or _CARBON))
    return frozenset((*named, *ids(chosen.buy_rates), *ids(chosen.sell_rates)))


def _pv_ids(settings: Settings) -> tuple[str, ...]:
    chosen = settings.entities
    return (chosen.forecast_today or _TODAY, chosen.forecast_tomorrow or _TOMORROW)


def known(
    settings: Settings,
    states: Mapping[str, EntityState],
    asked: Mapping[str, Series],
    now: datetime,
    zone: ZoneInfo,
) -> Known:
    """
    Return what is known.

    Args:
        settings: which sources.
        states: Home Assistant's entities.
        asked: what services have told, under `pv` and `carbon`.
        now: the present moment.
        zone: the site's, also of times that name none.
    """
    chosen = settings.entities
    pv = _of_entities(_pv_ids(settings), states, None, WATTS, zone)
    carbon = _of_entities(
        ids(chosen.ci_forecast or _CARBON), states, Shape.CARBON_INTENSITY, CARBON, zone
    )
    return Known(
        _or_service(pv, asked.get("pv"), "roof"),
        _or_service(carbon, asked.get("carbon"), "carbon_region"),
        _prices(ids(chosen.buy_rates), states, settings, "buy_tariff", (now, zone)),
        _prices(ids(chosen.sell_rates), states, settings, "sell_tariff", (now, zone)),
        _unset(settings, states),
    )


def named(settings: Settings) -> frozenset[str]:
    """Return the fields of `Known` whose source a person has named."""
    chosen = settings.entities
    choices = {
        "pv": chosen.forecast_today or chosen.forecast_tomorrow or settings.roof,
        "carbon": chosen.ci_forecast or settings.carbon_region,
        "buy": chosen.buy_rates or settings.buy_tariff,
        "sell": chosen.sell_rates or settings.sell_tariff,
    }
    return frozenset(name for name, choice in choices.items() if choice)


def _unset(settings: Settings, states: Mapping[str, EntityState]) -> frozenset[str]:
    usual = {"pv": (_TODAY, _TOMORROW), "carbon": (_CARBON,), "buy": (), "sell": ()}
    found = {name for name, its in usual.items() if any(each in states for each in its)}
    return frozenset(usual.keys() - found - named(settings))


def whole_days(pv: Series, zone: ZoneInfo) -> Series:
    """Return the series with the dark hours before its first and after its last light."""
    if not pv:
        return pv
    first, last = pv.stretches[0], pv.stretches[-1]
    begins = local_day(first.begins.astimezone(zone).date(), zone)[0]
    ends = local_day((last.ends - timedelta(seconds=1)).astimezone(zone).date(), zone)[1]
    night: list[Stretch] = []
    if timedelta() < first.begins - begins < _LONGEST_NIGHT:
        night.append(Stretch(begins, first.begins, 0.0))
    if timedelta() < ends - last.ends < _LONGEST_NIGHT:
        night.append(Stretch(last.ends, ends, 0.0))
    return replace(pv, stretches=tuple(sorted((*pv.stretches, *night))))


def _of_entities(
    named: tuple[str, ...],
    states: Mapping[str, EntityState],
    shape: Shape | None,
    unit: str,
    zone: ZoneInfo,
) -> Series:
    found: Series | None = None
    for entity_id in named:
        state = states.get(entity_id)
        if state is None:
            one = empty(unit, entity_id, f"{entity_id} does not exist in Home Assistant")
        else:
            its_shape = shape or pv_shape(state.attributes)
            its_unit = unit if shape is not Shape.RATES else _price_unit(state, unit)
            naive = UTC if shape is Shape.CARBON_INTENSITY else zone
            one = read(state.attributes, its_shape, entity_id, unit=its_unit, naive=naive)
        found = one if found is None else _joined(found, one)
    return found or empty(unit, "", "no entity is chosen")


def _joined(one: Series, more: Series) -> Series:
    return replace(one.then(more), source=f"{one.source}, {more.source}")


def _price_unit(state: EntityState, otherwise: str) -> str:
    """Return the unit of an entity's prices: its own, where that is one per energy."""
    unit = state.unit or ""
    return unit if "/" in unit else otherwise


def _or_service(entities: Series, told: Series | None, key: str) -> Series:
    if entities:
        return entities
    if told is not None:
        return told
    return replace(entities, reason=f"{entities.reason}; or set {key}")


def _prices(
    named: tuple[str, ...],
    states: Mapping[str, EntityState],
    settings: Settings,
    key: str,
    when: tuple[datetime, ZoneInfo],
) -> Series:
    unit, (now, zone) = f"{settings.currency}/kWh", when
    if named:
        return _of_entities(named, states, Shape.RATES, unit, zone)
    lines = tuple(TableRow(begins, price) for begins, price in tariff(getattr(settings, key)))
    if not lines:
        chosen = key.replace("tariff", "rates")
        return empty(unit, key, f"no price is known; set {key} or entities.{chosen}")
    return table(lines, unit, key, zone, now - timedelta(hours=1), now + LONGEST)


class Watched(Protocol):
    """The link to Home Assistant, as far as forecasts need it."""

    @property
    def states(self) -> Mapping[str, EntityState]:
        """Return the entities that are watched."""
        ...

    def watch(self, entity_ids: Iterable[str]) -> None:
        """Watch more entities."""
        ...

    def subscribe_states(self, callback: Callable[[frozenset[str]], None]) -> Callable[[], None]:
        """Call with the ids that changed; return what ends that."""
        ...


class HomeSources:
    """Home Assistant's entities, and the services that a person has allowed."""

    def __init__(
        self,
        core: Watched,
        settings: Callable[[], Settings],
        zone: Callable[[], ZoneInfo],
    ) -> None:
        self._core = core
        self._settings = settings
        self._zone = zone
        self._services: dict[str, ForecastService] = {}
        self._key: tuple[object, ...] = ()
        # From the first connection on, so that no plan is made before they have come.
        core.watch(entity_ids(settings()))

    def known(self, now: datetime) -> Known:
        """Return what is known at this moment."""
        told = {name: each.series for name, each in self._services.items()}
        zone = self._zone()
        found = known(self._settings(), self._core.states, told, now, zone)
        return replace(found, pv=whole_days(found.pv, zone))

    async def refresh(self, now: datetime) -> datetime | None:
        """Ask services that are due; return when the next one is."""
        settings, zone = self._settings(), self._zone()
        self._core.watch(entity_ids(settings))
        key = (settings.carbon_region, settings.roof, zone.key)
        if key != self._key:
            self._key, self._services = key, _services(settings, zone)
        found = known(settings, self._core.states, {}, now, zone)
        wanted = [
            each
            for name, each in self._services.items()
            if not (found.pv if name == "pv" else found.carbon)
        ]
        await asyncio.gather(*(each.refresh(now) for each in wanted))
        return min((each.due for each in wanted), default=None)

    def subscribe(self, changed: Callable[[], None]) -> Callable[[], None]:
        """Call when an entity with a forecast has changed; return what ends that."""

        def told(touched: frozenset[str]) -> None:
            if touched & entity_ids(self._settings()):
                changed()

        return self._core.subscribe_states(told)


def _services(settings: Settings, zone: ZoneInfo) -> dict[str, ForecastService]:
    found = {}
    region, place = settings.carbon_region, roof(settings.roof)
    if region:
        name = "carbonintensity.org.uk"
        question = Question(
            name,
            lambda now: service.carbon_url(region, now),
            lambda body: read(body, Shape.CARBON_INTENSITY, name),
        )
        found["carbon"] = ForecastService(question, CARBON)
    if place is not None:
        sun = "api.forecast.solar"
        question = Question(
            sun,
            lambda _: service.solar_url(place),
            lambda body: read(body, Shape.FORECAST_SOLAR, sun, naive=zone),
        )
        found["pv"] = ForecastService(question, WATTS)
    return found
