"""
Two made-up homes with their days: sun, loads, tariffs, carbon intensity, and forecasts of them.

Everything is synthetic and drawn from a seed. Clouds and appliances are the simulator's own; the
seasons, prices and carbon intensities are shaped like Great Britain's. A forecast knows the truth
only blurred: it sees no single cloud, errs by a factor that is the same for most of a day and
grows with the hours ahead, and comes every two hours. Loads are not foreseen at all.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

from agent.export.load_profile import LoadProfile
from agent.house.series import Series, Stretch, series
from agent.simulator.loads import Loads
from agent.simulator.sky import Sky, Weather, clear_sky_share

MINUTES = 1440
SLOTS = 48
_SLOT = timedelta(minutes=30)
_SAMPLE_S = 10
_AHEAD = 96
_HISTORY_DAYS = 14
_WEATHER = (Weather.MIXED, Weather.MIXED, Weather.MIXED, Weather.CLEAR, Weather.OVERCAST)
_FORECAST_EVERY = timedelta(hours=2)
PV_ERROR_FAR, PV_ERROR_NEAR = 0.30, 0.08
"""Standard deviation of the logarithm of a half hour's PV forecast: day ahead, and at once."""
CARBON_ERROR_FAR, CARBON_ERROR_NEAR = 0.12, 0.03
_ERROR_GROWS = timedelta(hours=6)
_SAME_ALL_DAY = 0.8
"""Share of the error that is the same for all half hours of a day."""
_WANDERS = 0.9
"""Correlation of the rest from one half hour to the next."""


@dataclass(frozen=True, slots=True)
class Home:
    """One house, its battery and its contract."""

    name: str
    pv_peak_w: float
    base_load_w: float
    capacity_wh: float
    tariff: str
    """`night`: 7 p at night, 27 p by day. `half_hourly`: other prices each day, known at 16:00."""


HOMES = (
    Home("night tariff", 5500.0, 260.0, 10_000.0, "night"),
    Home("half-hourly tariff", 4200.0, 380.0, 10_000.0, "half_hourly"),
)
SEASONS = (date(2026, 1, 12), date(2026, 4, 13), date(2026, 7, 13), date(2026, 10, 12))


@dataclass(slots=True)
class Block:
    """Some days in a row in one home: what happens, and what could be known before."""

    home: Home
    begins: datetime
    pv_w: list[float] = field(default_factory=list)
    """Each minute."""
    load_w: list[float] = field(default_factory=list)
    carbon: list[float] = field(default_factory=list)
    """Each half hour, in g/kWh."""
    buy: list[float] = field(default_factory=list)
    """Each half hour, in GBP/kWh."""
    sell: list[float] = field(default_factory=list)
    seen_pv_w: list[float] = field(default_factory=list)
    """Each half hour, without single clouds: the best that any forecast could know."""
    pv_error: list[float] = field(default_factory=list)
    carbon_error: list[float] = field(default_factory=list)
    profile: LoadProfile = field(default_factory=LoadProfile)

    @property
    def days(self) -> int:
        """Number of days."""
        return len(self.carbon) // SLOTS

    def begin_of(self, slot: int) -> datetime:
        """Return when a half hour begins."""
        return self.begins + slot * _SLOT

    def mean_w(self, power_w: Sequence[float], slot: int) -> float:
        """Return the average of a half hour of minutes."""
        return sum(power_w[slot * 30 : slot * 30 + 30]) / 30

    def pv_forecast(self, slot: int) -> Series:
        """Return the newest PV forecast at the begin of a half hour, in W."""
        issued = slot // 4 * 4
        return self._series(
            "W",
            issued,
            [
                seen * _factor(error, at - issued, PV_ERROR_FAR, PV_ERROR_NEAR)
                for at, (seen, error) in enumerate(zip(self.seen_pv_w, self.pv_error, strict=True))
            ],
        )

    def carbon_forecast(self, slot: int) -> Series:
        """Return the carbon intensity forecast at the begin of a half hour, in g/kWh."""
        return self._series(
            "gCO2/kWh",
            slot,
            [
                true * _factor(error, at - slot, CARBON_ERROR_FAR, CARBON_ERROR_NEAR)
                for at, (true, error) in enumerate(zip(self.carbon, self.carbon_error, strict=True))
            ],
        )

    def known_prices(self, slot: int) -> tuple[Series, Series]:
        """Return buy and sell prices as far as they are published at the begin of a half hour."""
        last = len(self.buy)
        if self.home.tariff == "half_hourly":
            # Published at 16:00 until 23:00 of the next day.
            day, of_day = divmod(slot, SLOTS)
            last = min(last, (day + (2 if of_day >= 32 else 1)) * SLOTS - 2)
        return (
            self._series("GBP/kWh", slot - SLOTS, self.buy[:last]),
            self._series("GBP/kWh", slot - SLOTS, self.sell[:last]),
        )

    def _series(self, unit: str, first: int, values: Sequence[float]) -> Series:
        return series(
            unit,
            "made up",
            [
                Stretch(self.begin_of(at), self.begin_of(at + 1), values[at])
                for at in range(max(0, first), min(first + _AHEAD, len(values)))
            ],
        )


def _factor(error: float, ahead: int, far: float, near: float) -> float:
    hours_ahead = max(0, ahead) * 0.5
    grown = 1.0 - math.exp(-hours_ahead / (_ERROR_GROWS.total_seconds() / 3600))
    spread = near + (far - near) * grown
    return math.exp(error * spread - spread * spread / 2)


def block(home: Home, first: date, days: int, seed: int) -> Block:
    """Return some days of a home; one day more is drawn, so that the last one has a tomorrow."""
    draw = random.Random(f"{home.name} {first} {seed}")  # noqa: S311 - weather, not keys
    made = Block(home, datetime(first.year, first.month, first.day, tzinfo=UTC))
    wind = draw.gauss(0, 1)
    loads = Loads(draw, home.base_load_w, 0.0)
    made.profile = _learned(loads)
    for number in range(days + 1):
        day = first + timedelta(days=number)
        _sun(made, draw, day)
        _load(made, loads, _HISTORY_DAYS + number)
        wind = 0.7 * wind + 0.7 * draw.gauss(0, 1)
        shift = draw.gauss(0, 0.6)
        _grid(made, draw, day, wind, shift)
        made.pv_error.extend(_errors(draw))
        made.carbon_error.extend(_errors(draw))
    return made


def _errors(draw: random.Random) -> list[float]:
    """Return a day's errors: one for all of it, and one that wanders from hour to hour."""
    common, wander, found = draw.gauss(0, 1), draw.gauss(0, 1), []
    rest = math.sqrt(1 - _SAME_ALL_DAY**2)
    for _ in range(SLOTS):
        found.append(_SAME_ALL_DAY * common + rest * wander)
        wander = _WANDERS * wander + math.sqrt(1 - _WANDERS**2) * draw.gauss(0, 1)
    return found


def _learned(loads: Loads) -> LoadProfile:
    """Learn the usual load from two weeks before, as the agent would."""
    profile = LoadProfile()
    per_slot = 1800 // _SAMPLE_S
    for day in range(_HISTORY_DAYS):
        for half_hour in range(SLOTS):
            begin = day * 86_400 + half_hour * 1800
            mean = sum(loads.step(begin + at * _SAMPLE_S) for at in range(per_slot)) / per_slot
            profile = profile.learned(half_hour, max(0.0, mean))
    return profile


def _load(made: Block, loads: Loads, day: int) -> None:
    per_minute = 60 // _SAMPLE_S
    for minute in range(MINUTES):
        begin = day * 86_400 + minute * 60
        total = sum(loads.step(begin + at * _SAMPLE_S) for at in range(per_minute))
        made.load_w.append(max(0.0, total / per_minute))


def _sun(made: Block, draw: random.Random, day: date) -> None:
    """Append a day of PV: the season sets length and height of the arc, the sky does the rest."""
    season = math.cos(2 * math.pi * (day.timetuple().tm_yday - 172) / 365.25)
    half_day_s = (12.2 + 4.2 * season) / 2 * 3600
    rise_s, set_s = 12.2 * 3600 - half_day_s, 12.2 * 3600 + half_day_s
    peak_w = made.home.pv_peak_w * (0.50 + 0.26 * season)
    sky = Sky(draw, draw.choice(_WEATHER))
    shares, clear = [], []
    for minute in range(MINUTES):
        shares.append(sum(sky.step(_SAMPLE_S) for _ in range(6)) / 6)
        clear.append(peak_w * clear_sky_share(minute * 60 + 30, rise_s, set_s))
    made.pv_w += [share * height for share, height in zip(shares, clear, strict=True)]
    for half_hour in range(SLOTS):
        # Clouds are known as an average of three hours around.
        around = shares[max(0, half_hour * 30 - 75) : half_hour * 30 + 105]
        height = sum(clear[half_hour * 30 : half_hour * 30 + 30]) / 30
        made.seen_pv_w.append(height * sum(around) / len(around))


def _grid(made: Block, draw: random.Random, day: date, wind: float, shift: float) -> None:
    """Append a day of carbon intensity and prices: evening peak, night trough, windy days low."""
    summer = math.cos(2 * math.pi * (day.timetuple().tm_yday - 172) / 365.25)
    level = max(35.0, 130.0 - 40.0 * wind - 10.0 * summer)
    noise = 0.0
    for half_hour in range(SLOTS):
        hour = half_hour / 2
        evening = math.exp(-(((hour - 18.0 - shift) / 2.2) ** 2))
        morning = math.exp(-(((hour - 7.8) / 1.6) ** 2))
        night = math.exp(-(((hour - 3.5) / 2.6) ** 2))
        noon = math.exp(-(((hour - 12.8) / 2.8) ** 2)) * (0.5 + 0.5 * summer)
        shape = 1.0 + 0.42 * evening + 0.16 * morning - 0.32 * night - 0.38 * noon
        noise = 0.8 * noise + draw.gauss(0, 0.03)
        made.carbon.append(max(15.0, level * (shape + noise)))
        if made.home.tariff == "night":
            made.buy.append(0.07 if 0.5 <= hour < 5.5 else 0.27)
            made.sell.append(0.12 + 0.16 * evening)
        else:
            wholesale = 0.075 - 0.022 * wind + 0.06 * (shape - 1.0) + draw.gauss(0, 0.004)
            peak = 16 <= hour < 19
            made.buy.append(2.1 * wholesale + 0.02 + (0.12 if peak else 0.0))
            made.sell.append(0.95 * wholesale + 0.01 + (0.06 if peak else 0.0))
