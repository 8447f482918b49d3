"""
Which notifications belong on Home Assistant's wall, as a function of the guard's picture.

So none can be forgotten there: one stands while its condition holds, and the text says what to do.
Ids and titles of the first five are those of the production guide; export_monitor.md section 1.7.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from agent.export.snapshot import ErrorState, GuardSnapshot, Mode, Reason

ID_PREFIX = "export_monitor_"
TITLE_PREFIX = "⚠️ Export Monitor: "
PATIENCE_S = 30.0
"""A lost input that stops nothing is told when it stays lost: at a start every input is."""
LONGEST_TEXT = 600


@dataclass(frozen=True, slots=True)
class Kind:
    """One notification that there can be: its id, its title and what a person should do."""

    suffix: str
    title: str
    next_step: str
    id_prefix: str = ID_PREFIX
    title_prefix: str = TITLE_PREFIX

    @property
    def id(self) -> str:
        """The id in Home Assistant."""
        return self.id_prefix + self.suffix


KINDS = {
    kind.suffix: kind
    for kind in (
        Kind(
            "soc_read_failed",
            "SOC Sensor Failed",
            "Check that the inverter is online and that the entity of the state of charge shows a "
            "number from 0 to 100 %. Discharge cannot start before.",
        ),
        Kind(
            "stale_data",
            "Stale Data Detected",
            "Check the inverter's Modbus connection and Home Assistant's load. Nothing is started "
            "on old values.",
        ),
        Kind(
            "discharge_power_failed",
            "Discharge Power Set Failed",
            "Check that the power entity is available and takes the wanted power; start again.",
        ),
        Kind(
            "discharge_start_failed",
            "Discharge Start Failed",
            "Check the Modbus connection to the inverter (`doctor` does it for you), then start "
            "again. Nothing is retried by itself.",
        ),
        Kind(
            "discharge_stop_failed",
            "Discharge Stop Failed (CRITICAL)",
            "Look at the battery now. If it still discharges, stop it in the inverter's own app. "
            "The inverter ends a dispatch of this agent by its own timer.",
        ),
        Kind(
            "lost_input",
            "Input Lost",
            "Look at the inputs on the agent's page and repair the source. A discharge that was "
            "stopped goes on by itself when all inputs are good again.",
        ),
        Kind(
            "over_export",
            "Over-Export",
            "More was exported than the day allows. Look at the journal, raise the safety margin "
            "if it was too small, then press Acknowledge.",
        ),
        Kind(
            "foreign_controller",
            "Another Controller Runs the Battery",
            "Find the app, automation or integration that commands the battery and switch it off "
            "(`doctor` lists the known ones). If a safety stop waits, press Acknowledge.",
        ),
        Kind(
            "verification_failed",
            "Inverter Does Not Follow",
            "The inverter did not show what was commanded. Look at the battery, check the Modbus "
            "connection and run the commissioning test before the next start.",
        ),
        Kind(
            "sources_disagree",
            "Bridge and Home Assistant Disagree",
            "Compare both on the agent's page with the inverter's own app. Commands go on by the "
            "source of the path in use; set `mode` to observe until you know which one is wrong.",
        ),
        Kind(
            "target_is_zero",
            "Target Export Is Zero",
            "Set the target export, for example to 3000 W; at 0 W there is nothing to discharge "
            "for, and every start is refused.",
        ),
    )
}


@dataclass(frozen=True, slots=True)
class Notification:
    """One notification that belongs on the wall now."""

    kind: Kind
    message: str
    news: str = ""
    """Told again only when this changes; ages in the text change all the time."""
    after_s: float = 0.0
    """How long the condition has to hold before it is worth a person's attention."""

    @property
    def title(self) -> str:
        """The title as Home Assistant shows it."""
        return self.kind.title_prefix + self.kind.title


_INPUT_ERRORS = frozenset(
    {
        ErrorState.SOC_READ_FAILED,
        ErrorState.STALE_DATA,
        ErrorState.NO_DATA,
        ErrorState.LOST_INPUT,
    }
)
"""One of these says already which input is lost."""
_OF_PROBLEM = {
    "foreign_controller": ("foreign_dispatch", "foreign_controller"),
    "sources_disagree": ("sources_disagree",),
}
_UNVERIFIED = frozenset({"start_unverified", "no_effect", "stop_unverified", "timer_ignored"})
_OF_ERROR = {
    ErrorState.SOC_READ_FAILED: "soc_read_failed",
    ErrorState.STALE_DATA: "stale_data",
    ErrorState.NO_DATA: "lost_input",
    ErrorState.DISCHARGE_POWER_SET_FAILED: "discharge_power_failed",
    ErrorState.DISCHARGE_START_FAILED: "discharge_start_failed",
    ErrorState.DISCHARGE_STOP_FAILED: "discharge_stop_failed",
    ErrorState.LOST_INPUT: "lost_input",
    ErrorState.FOREIGN_CONTROLLER: "foreign_controller",
    ErrorState.OVER_EXPORT: "over_export",
}
_INPUTS = (
    "link_down",
    "grid_power_",
    "battery_power_",
    "soc_",
    "exported_",
    "produced_",
    "dispatch_",
)
_STILL_GOOD = "grid_power_late"


def due(picture: GuardSnapshot) -> dict[str, Notification]:
    """Return every notification whose condition holds in this picture, by its id."""
    wanted: dict[str, Notification] = {}

    def want(suffix: str, reason: Reason | None, news: str = "", after_s: float = 0.0) -> None:
        kind = KINDS[suffix]
        if kind.id not in wanted:
            wanted[kind.id] = Notification(kind, _message(kind, reason), news, after_s)

    error = picture.error_state
    error_reason = picture.problems[0] if picture.problems else None
    if error is not ErrorState.NONE:
        want(_OF_ERROR[error], error_reason, error_reason.code if error_reason else error.value)
        if error_reason is not None and error_reason.code in _UNVERIFIED:
            want("verification_failed", error_reason, error_reason.code)
    if picture.energy.breach and picture.latched:
        want("over_export", _of_code((picture.reason, *picture.problems), "over_export"))
    for suffix, found in _of_problems(picture.problems):
        want(suffix, found, found.code)
    for lost in () if error in _INPUT_ERRORS else picture.problems:
        if lost.code.startswith(_INPUTS) and lost.code != _STILL_GOOD:
            want(_suffix_of(lost), lost, after_s=PATIENCE_S)
    zero = _of_code((picture.reason, *picture.blockers), "target_is_zero")
    if zero and picture.mode is Mode.CONTROL and picture.commissioning.passed:
        want("target_is_zero", zero)
    return wanted


def _of_problems(problems: tuple[Reason, ...]) -> Iterator[tuple[str, Reason]]:
    for suffix, codes in _OF_PROBLEM.items():
        if found := _of_code(problems, *codes):
            yield suffix, found


def _suffix_of(lost: Reason) -> str:
    if lost.code.startswith("soc_"):
        return "soc_read_failed"
    if lost.code.endswith(("_stale", "_frozen")):
        return "stale_data"
    return "lost_input"


def _of_code(reasons: tuple[Reason, ...], *codes: str) -> Reason | None:
    return next((reason for reason in reasons if reason.code in codes), None)


def _message(kind: Kind, reason: Reason | None) -> str:
    what = f"{plain(reason.text)}\n\n" if reason is not None else ""
    return f"{what}**Next:** {kind.next_step}"


_MARKDOWN = re.compile(r"([\\`*\[\]<>#~|!])")


def plain(text: str) -> str:
    """Return outside text so that Home Assistant's Markdown shows it and does nothing else."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    cut = line if len(line) <= LONGEST_TEXT else f"{line[:LONGEST_TEXT]}…"
    return _MARKDOWN.sub(r"\\\1", cut)
