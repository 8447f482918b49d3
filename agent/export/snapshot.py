"""
What the guard shows: one immutable picture of the house, the decision and its reasons.

Page, MQTT entities, `/api/state` and the event stream all read this and nothing else, so they
cannot disagree. Units are in the names; a value that is not known is `None`, never 0.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum


class Phase(StrEnum):
    """The states that users of Energy Export Monitor know."""

    IDLE = "IDLE"
    DISCHARGE_NEEDED = "DISCHARGE_NEEDED"
    """Energy could be exported, and nothing is running."""
    DISCHARGE_ACTIVE = "DISCHARGE_ACTIVE"
    DISCHARGE_COMPLETE = "DISCHARGE_COMPLETE"
    """The wanted discharge ended as it should; until the next start, or the end of the day."""
    CHARGE_ACTIVE = "CHARGE_ACTIVE"
    REST_ACTIVE = "REST_ACTIVE"
    """The plan keeps the battery still, or leaves it only a part of the sun."""
    ERROR_STATE = "ERROR_STATE"


class Mode(StrEnum):
    """Whether the agent may command the battery."""

    OBSERVE = "observe"
    CONTROL = "control"


class HealthStatus(StrEnum):
    """The words of the production guide's `system_health` sensor."""

    HEALTHY = "Healthy"
    STALE_DATA = "Stale Data"
    CIRCUIT_BREAKER_OPEN = "Circuit Breaker Open"
    ERROR = "Error"


class ErrorState(StrEnum):
    """The words of the production guide's `error_state` sensor, and ours."""

    NONE = "none"
    SOC_READ_FAILED = "soc_read_failed"
    STALE_DATA = "stale_data"
    NO_DATA = "no_data"
    DISCHARGE_POWER_SET_FAILED = "discharge_power_set_failed"
    DISCHARGE_START_FAILED = "discharge_start_failed"
    DISCHARGE_STOP_FAILED = "discharge_stop_failed"
    LOST_INPUT = "lost_input"
    FOREIGN_CONTROLLER = "foreign_controller"
    OVER_EXPORT = "over_export"


@dataclass(frozen=True, slots=True)
class Reason:
    """Why something is so: a stable code and a sentence that names the next step."""

    code: str
    text: str
    source: str = ""
    """Entity or register concerned, where there is one."""


@dataclass(frozen=True, slots=True)
class ReadingView:
    """One input as a person may look at it."""

    name: str
    """Field of `HouseSample`, with its unit: `grid_w`."""
    value: float | None
    unit: str
    age_s: float | None
    quality: str
    source: str
    detail: str
    fresh: bool


@dataclass(frozen=True, slots=True)
class LeaseView:
    """The dispatch that runs, or that may still run."""

    kind: str
    """`discharge`, `charge`, `rest`, `share_sun` or `commissioning`."""
    power_w: float
    duration_s: int
    remaining_s: float
    """Until the inverter ends it unaided, at the latest."""
    worst_case_wh: float
    confirmed: bool
    """The inverter's registers show it."""


@dataclass(frozen=True, slots=True)
class BreakerView:
    """The circuit breaker, which blocks new operations and nothing else."""

    is_open: bool
    failures: int
    last_failure: datetime | None
    retry_in_s: float


@dataclass(frozen=True, slots=True)
class CheckView:
    """One thing that the commissioning test looked at."""

    code: str
    verdict: str
    """`passed`, `failed` or `open`."""
    text: str
    next_step: str


@dataclass(frozen=True, slots=True)
class CommissioningView:
    """The commissioning test: its stage and what it measured."""

    passed: bool
    running: bool
    stage: str
    """`none`, `waiting`, `running`, `ending`, `passed` or `failed`."""
    text: str
    progress_percent: float
    delay_s: float | None
    exit_lag_s: float | None
    gain: float | None
    at: datetime | None
    dead_s: float | None = None
    """From the command to the first change of power."""
    counter_lag_s: float | None = None
    """How late the export counter is; `None` until a full test has told it."""
    rewrite_extends: bool | None = None
    """A lease can be renewed; `None` until a full test has told it."""
    rounds_up: bool = False
    """The inverter's timer knows whole minutes only."""
    full: bool = False
    """The last test was, or is, a full one."""
    firmware: str = ""
    """Of the inverter at the test; empty where it could not be read."""
    checks: tuple[CheckView, ...] = ()


@dataclass(frozen=True, slots=True)
class EnergyView:
    """The local day's energy account, in Wh."""

    day: str
    produced_wh: float | None
    exported_wh: float | None
    """Best estimate."""
    exported_upper_wh: float | None
    """What may have been exported at most; decisions use this one."""
    allowance_wh: float | None
    headroom_wh: float | None
    """Allowance minus best estimate; negative when exceeded."""
    left_wh: float | None
    """Allowance minus upper bound: what a lease may still cost."""
    forecast_wh: float | None
    breach: bool
    """More left the house than was produced and granted, and nobody has acknowledged it."""
    period: str = "day"
    """What sets the allowance now: `day`, or `rolling_24h` where that leaves less."""


@dataclass(frozen=True, slots=True)
class PowerView:
    """Power now, in W; battery positive discharges, grid positive imports."""

    grid_w: float | None
    battery_w: float | None
    pv_w: float | None
    load_w: float | None
    limit_w: float | None
    """Cap at the connection point; `None` until set, and nothing is commanded before."""
    target_w: float
    commanded_w: float


@dataclass(frozen=True, slots=True)
class ActionView:
    """The last thing the guard did, and why."""

    action: str
    reason: str
    at: datetime
    by: str
    purpose: str = ""
    """What was stopped, `discharge` or `charge`; empty when nothing of ours ran."""


@dataclass(frozen=True, slots=True)
class StatisticsView:
    """
    How often the battery was started and stopped, and how often that failed.

    A start has succeeded when the inverter's registers show it; every error
    `discharge_start_failed` counts as failed. A stop counts once: as succeeded when it was
    verified in time, else as failed. Manual ones count too. Named as the old sensor's attributes.
    """

    start_discharge_success: int = 0
    start_discharge_fail: int = 0
    stop_discharge_success: int = 0
    stop_discharge_fail: int = 0
    start_charge_success: int = 0
    start_charge_fail: int = 0
    stop_charge_success: int = 0
    stop_charge_fail: int = 0
    since: datetime | None = None
    """When they were last set to zero by a person."""

    @property
    def failures(self) -> int:
        """Return the sum of what failed, the old sensor's state."""
        return (
            self.start_discharge_fail
            + self.stop_discharge_fail
            + self.start_charge_fail
            + self.stop_charge_fail
        )

    def counted(self, what: str) -> StatisticsView:
        """Return the statistics with one more of `start_discharge_success` or its like."""
        return replace(self, **{what: getattr(self, what) + 1})


@dataclass(frozen=True, slots=True)
class PlanSlot:
    """One stretch of time in which a plan moves energy."""

    begins: datetime
    ends: datetime
    energy_wh: float
    carbon_g_per_kwh: float | None = None


@dataclass(frozen=True, slots=True)
class SlotView:
    """The planned slot that runs now."""

    target_wh: float
    exported_wh: float
    remaining_s: float


@dataclass(frozen=True, slots=True)
class PlanView:
    """What a planner shows; there is no such view while nothing is to be planned."""

    today: tuple[PlanSlot, ...] = ()
    """Discharge slots of the local day, best first."""
    tomorrow: tuple[PlanSlot, ...] = ()
    charge: tuple[PlanSlot, ...] = ()
    """The next charge session, in the order of time."""
    slot: SlotView | None = None
    carbon_g_per_kwh: float | None = None
    """Carbon intensity of the grid now."""
    carbon_index: str | None = None
    """The word of the source for it: `low`, `very high`."""
    auto_discharge: bool = False
    auto_charge: bool = False
    auto_rest: bool = False
    parse_errors: int = 0
    reason: Reason | None = None
    """How the plan was made, or why there is none."""
    made_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class PlanPoint:
    """One slot of the picture of a plan; powers are averages, positive as everywhere."""

    begins: datetime
    ends: datetime
    action: str
    """`self_consumption`, `discharge`, `charge`, `hold` or `share_sun`."""
    pv_w: float
    load_w: float
    battery_w: float
    grid_w: float
    soc_percent: float
    """Expected at the end."""
    carbon_g_per_kwh: float | None
    buy_per_kwh: float | None
    sell_per_kwh: float | None


@dataclass(frozen=True, slots=True)
class PlanWindow:
    """One run of equal commands, with its reason."""

    action: str
    begins: datetime
    ends: datetime
    energy_wh: float
    power_w: float
    """Average of the battery; positive discharges."""
    soc_percent: float
    """Expected at the end."""
    why: Reason


@dataclass(frozen=True, slots=True)
class PlanSource:
    """What a plan was made from."""

    name: str
    """`pv`, `load`, `carbon`, `buy` or `sell`."""
    source: str
    ends: datetime | None
    """Until when something is known; `None` when nothing is."""
    text: str
    """What was left out, or why there is nothing."""


@dataclass(frozen=True, slots=True)
class PlanPicture:
    """Today and tomorrow as planned; changes only when a plan is made."""

    made_at: datetime
    method: str
    aim: str
    currency: str
    reason: Reason
    gain: float
    """Against leaving the battery alone, by the plan's own forecast: g, or in the currency."""
    points: tuple[PlanPoint, ...]
    windows: tuple[PlanWindow, ...]
    sources: tuple[PlanSource, ...]


@dataclass(frozen=True, slots=True)
class GuardSnapshot:
    """The whole picture."""

    at: datetime
    mode: Mode
    path: str
    linked: bool
    phase: Phase
    reason: Reason
    latched: bool
    """A safety stop waits for a person's acknowledgement."""
    blockers: tuple[Reason, ...]
    """Why a start of discharge would be refused now; empty when it would run."""
    problems: tuple[Reason, ...]
    """What is wrong with the inputs or the battery now, worst first."""
    health: HealthStatus
    error_state: ErrorState
    data_staleness_s: float | None
    """Age of the grid power."""
    breaker: BreakerView
    energy: EnergyView
    power: PowerView
    soc_percent: float | None
    min_soc_percent: float
    reserve_soc_percent: float | None
    lease: LeaseView | None
    commissioning: CommissioningView
    readings: tuple[ReadingView, ...]
    last_action: ActionView | None
    stale_after_s: float | None = None
    """Age at which the grid power counts as stale; shown beside `data_staleness_s`."""
    observe_reserve_soc: bool = False
    """The reserve counts: no discharge below it."""
    reserve_reached: bool | None = None
    """The observed reserve forbids a discharge now; `None` while that is not known."""
    wish: str | None = None
    """What somebody wants the battery to do, as a lease's kind, also while it pauses."""
    completed: bool = False
    """A discharge ended as it should, and none was asked for since; until the end of the day."""
    statistics: StatisticsView = StatisticsView()
    plan: PlanView | None = None
    """`None` while nothing is to be planned."""
    outlook: PlanPicture | None = None
    """The plan in full; apart from `plan`, so that a page is sent it only when it changes."""
    plan_waits: Reason | None = None
    """Why the plan's running window is not carried out."""
