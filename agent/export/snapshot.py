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
    """`discharge`, `charge` or `commissioning`."""
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
    """What a planner shows; there is no such view while there is no planner."""

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
    parse_errors: int = 0


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
    """What somebody wants the battery to do, `discharge` or `charge`, also while it pauses."""
    completed: bool = False
    """A discharge ended as it should, and none was asked for since; until the end of the day."""
    statistics: StatisticsView = StatisticsView()
    plan: PlanView | None = None
    """`None` while there is no planner."""
