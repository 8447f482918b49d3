"""A reduction that never arrives is written again before the next renewal (T3, case 24)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agent.export.lease import DIRECT
from agent.house.alphaess import DispatchBlock
from agent.house.port import WriteStatus
from tests.export.bench import CONFIG, Bench


def at_the_limit() -> Bench:
    config = replace(
        CONFIG, path=replace(DIRECT, gain=1.0), target_export_w=3680.0, readback_poll_s=2
    )
    bench = Bench(config, produced_wh=20_000, load_w=1600, max_discharge_w=8000.0,
                  ac_limit_w=8000.0, capacity_wh=50_000.0)  # fmt: skip
    bench.polls_s["dispatch"] = 2
    bench.write_delay_s = 1.0
    assert bench.start().accepted
    bench.run(700)
    return bench


@pytest.mark.parametrize("status", [WriteStatus.DELIVERED, WriteStatus.UNCONFIRMED])
def test_a_lost_reduction_is_repeated_while_the_limit_is_exceeded(status: WriteStatus) -> None:
    bench = at_the_limit()
    before_w = bench.state.commitments[-1].block.power_w
    lost: list[DispatchBlock] = []

    def fate(block: DispatchBlock) -> tuple[bool, WriteStatus]:
        if lost or block.power_w >= before_w - 50:
            return True, WriteStatus.DELIVERED
        lost.append(block)
        return False, status

    bench.fate = fate
    bench.unconfirmed_after_s = 4.0
    bench.plant.load_override_w = 500.0
    above_s = [second for second in range(60) if _above(bench)]
    assert lost
    assert above_s
    assert max(above_s) <= 15


def _above(bench: Bench) -> bool:
    bench.run(1)
    return -bench.plant.true_grid_w > 3680 + 50


def test_a_reduction_that_arrives_is_written_once() -> None:
    bench = at_the_limit()
    written = len(bench.writes)
    bench.plant.load_override_w = 500.0
    bench.run(12)
    assert len(bench.writes) - written <= 2
