"""The commissioning test from the command line: what the agent says, or how to get one."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from agent.__main__ import main
from agent.doctor_commission import commissioned, findings_of
from agent.doctor_facts import Verdict
from agent.export.requests import Answer
from agent.export.snapshot import CheckView
from tests.peers.process import free_port
from tests.surface.conftest import House
from tests.surface.desks import QUIET

PASSED = {
    "passed": True,
    "running": False,
    "text": "Passed: all of it.",
    "dead_s": 2.04,
    "delay_s": 3.1,
    "exit_lag_s": 1.0,
    "gain": 0.98,
    "counter_lag_s": None,
    "checks": [
        {"code": "timer", "verdict": "passed", "text": "It ended.", "next_step": ""},
        {"code": "rewrite", "verdict": "open", "text": "Not tried.", "next_step": "Run it."},
    ],
}


def test_without_an_agent_it_says_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["doctor", "--commission", "--agent", f"http://127.0.0.1:{free_port()}"])
    shown = " ".join(capsys.readouterr().out.split())
    assert code == 2
    assert "nothing was written" in shown
    assert "python -m agent run" in shown


def test_a_passed_test_is_told_with_every_figure_it_has() -> None:
    whole, timer, rewrite = findings_of(PASSED)
    assert whole.verdict is Verdict.OK
    for figure in ("dead time 2.0 s", "full power after 3.1 s", "end 1.0 s late", "gain 0.98"):
        assert figure in whole.text
    assert "counter" not in whole.text, "what was not measured is not told"
    assert (timer.verdict, timer.title) == (Verdict.OK, "Timer")
    assert (rewrite.verdict, rewrite.next_step) == (Verdict.SKIPPED, "Run it.")


def test_a_failed_test_fails_and_keeps_its_next_step() -> None:
    check = {"code": "grid_power", "verdict": "failed", "text": "Sign.", "next_step": "Turn it."}
    whole, grid = findings_of({"passed": False, "text": "Sign. Turn it.", "checks": [check]})
    assert {whole.verdict, grid.verdict} == {Verdict.FAILURE}
    assert "locked" in whole.next_step
    assert grid.next_step == "Turn it."


async def test_something_else_that_answers_is_not_taken_for_an_agent() -> None:
    app = web.Application()

    async def page(_: web.Request) -> web.Response:
        return web.Response(text="<html>router</html>")

    app.router.add_post("/api/requests", page)
    async with TestServer(app) as server:
        report = await commissioned(str(server.make_url("/")), lambda *_: None)
    assert report.exit_code == 2
    assert "not as an agent does" in report.findings[0].text


async def test_a_refusal_is_the_agents_own_sentence(house: House) -> None:
    house.guard.answer = Answer(False, "battery_busy", "A dispatch is running; stop it.")
    report = await commissioned(house.url, lambda *_: None)
    assert report.exit_code == 2
    assert "A dispatch is running; stop it." in report.findings[0].text


@pytest.mark.parametrize(("full", "kind"), [(False, "commission"), (True, "commission_full")])
async def test_it_asks_the_agent_and_shows_what_came_of_it(
    house: House, full: bool, kind: str
) -> None:
    check = CheckView("timer", "passed", "The inverter ended 30 s unaided.", "")
    done = replace(QUIET.commissioning, passed=True, text="Passed.", gain=1.0, checks=(check,))
    house.guard.shown = replace(QUIET, commissioning=done)
    report = await commissioned(house.url, lambda *_: None, full=full)
    assert [request.kind.value for request in house.guard.requests] == [kind]
    assert report.exit_code == 0
    assert [each.code for each in report.findings] == ["commissioning", "timer"]


def test_json_is_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    main(["doctor", "--commission", "--json", "--agent", f"http://127.0.0.1:{free_port()}"])
    assert json.loads(capsys.readouterr().out)["findings"][0]["code"] == "commissioning"
