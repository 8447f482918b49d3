"""
The page's server with a made house behind it, as a process of its own for `page.py`.

The house has a day of readings behind it, one each second, a plan of 36 hours, bridges, releases
and a journal. It lives only while it is told to: on standard input `run LEAST MOST JUMP` changes
everything after LEAST to MOST seconds, again and again, and lets JUMP seconds of the house pass
each time; `halt` ends that. The answer to both is one line of JSON on standard output: after
`halt` the events, each with its number and when it was.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import sys
import time
from collections import deque
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from agent.export.snapshot import GuardSnapshot, Mode, PlanPicture, PlanView, PlanWindow, Reason
from agent.surface.desk import HistoryPoint
from tests.surface.desks import DISCHARGING, NOON, HandGuard
from tests.surface.full_house import full_house
from tests.surface.hand_plan import HALF_HOUR, picture, point

DAY_S = 86_400
PLAN_SLOTS = 72
SLOTS_A_WINDOW = 9
STAMP = "Event"
"""What stands before the number of an event in the reason that the page shows."""
LIMIT_W = 3680.0


def plan(at: datetime) -> PlanPicture:
    """Return 36 hours from the half hour of `at` on, with a window every few hours."""
    first = (at - NOON) // HALF_HOUR
    points = tuple(
        point(first + n, "discharge" if n % SLOTS_A_WINDOW < 2 else "self_consumption", 1500 - n)
        for n in range(PLAN_SLOTS)
    )
    why = Reason("best_hours", "Exports at 264 g/kWh, the dirtiest hours of the evening.")
    windows = tuple(
        PlanWindow("discharge", each.begins, each.begins + 2 * HALF_HOUR, 1500, 1500, 40, why)
        for each in points[::SLOTS_A_WINDOW]
    )
    return replace(picture(made=at), points=points, windows=windows)


def readings_of(at_s: float, chance: random.Random) -> HistoryPoint:
    """Return what the house did in this second: sun by day, clouds, and a battery that answers."""
    hour = at_s % DAY_S / 3600
    pv_w = max(0.0, 4000 - 160 * (hour - 13) ** 2) * chance.uniform(0.6, 1)
    load_w = chance.uniform(200, 900)
    battery_w = chance.uniform(-1500, 1500)
    return HistoryPoint(
        at=at_s,
        grid_w=round(load_w - pv_w - battery_w, 1),
        battery_w=round(battery_w, 1),
        pv_w=round(pv_w, 1),
        load_w=round(load_w, 1),
        limit_w=LIMIT_W,
        commanded_w=0,
        soc_percent=round(50 + 30 * (hour / 24), 1),
        exported_wh=round(400 * hour, 1),
        allowance_wh=round(450 * hour, 1),
    )


class MadeHouse(HandGuard):
    """A guard whose picture changes whole with each event."""

    def __init__(self) -> None:
        super().__init__(replace(DISCHARGING, outlook=plan(NOON), plan=PlanView()))
        self._chance = random.Random(1)  # noqa: S311 - weather, no secret
        now_s = NOON.timestamp()
        self.day = deque(
            (readings_of(now_s - before, self._chance) for before in range(DAY_S, 0, -1)), DAY_S
        )
        self.events: list[tuple[int, float]] = []
        self._number = 0

    def history(self, seconds: float) -> list[HistoryPoint]:
        """Return what the last seconds were like."""
        since = self.day[-1].at - seconds
        return [each for each in self.day if each.at >= since]

    def live(self, jump_s: int) -> None:
        """Let time pass, and tell."""
        before = self.shown
        for passed in range(1, jump_s + 1):
            self.day.append(readings_of(before.at.timestamp() + passed, self._chance))
        at = before.at + timedelta(seconds=jump_s)
        self._number += 1
        self.shown = self._picture(before, at, self._number)
        self.events.append((self._number, time.time()))
        for wake in list(self._listeners):
            wake()

    def _picture(self, before: GuardSnapshot, at: datetime, number: int) -> GuardSnapshot:
        now = self.day[-1]
        power = replace(
            before.power, grid_w=now.grid_w, battery_w=now.battery_w, pv_w=now.pv_w,
            load_w=now.load_w,
        )  # fmt: skip
        energy = replace(before.energy, exported_wh=now.exported_wh, allowance_wh=now.allowance_wh)
        same_slot = (before.at - NOON) // HALF_HOUR == (at - NOON) // HALF_HOUR
        return replace(
            before,
            at=at,
            # The word for it stands in the head of every view, so each event changes each view.
            mode=Mode.OBSERVE if number % 2 else Mode.CONTROL,
            reason=Reason("discharging", f"{STAMP} {number}: exports towards the allowance."),
            power=power,
            energy=energy,
            soc_percent=now.soc_percent,
            readings=tuple(replace(it, age_s=number % 5 + 0.5) for it in before.readings),
            outlook=before.outlook if same_slot else plan(at),
        )


async def beat(house: MadeHouse, least_s: float, most_s: float, jump_s: int) -> None:
    """Change everything again and again."""
    chance = random.Random(2)  # noqa: S311 - when events come, no secret
    while True:
        await asyncio.sleep(chance.uniform(least_s, most_s))
        house.live(jump_s)


async def main(folder: Path) -> None:
    """Serve until standard input ends."""
    guard = MadeHouse()
    house = full_house(folder, guard=guard)
    port = await house.server.start("127.0.0.1", 0)
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(lines), sys.stdin
    )
    tell({"port": port})
    beating: asyncio.Task[None] | None = None
    while line := (await lines.readline()).decode().split():
        if beating is not None:
            beating.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await beating
            beating = None
        events, guard.events = guard.events, []
        if line[0] == "run":
            beating = asyncio.create_task(beat(guard, float(line[1]), float(line[2]), int(line[3])))
        tell({"events": events})
    await house.server.stop()


def tell(answer: dict[str, object]) -> None:
    """Write one line."""
    print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
