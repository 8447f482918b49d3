"""What a person writes in one line is read as meant, or refused."""

from __future__ import annotations

from datetime import time

import pytest
from pydantic import BaseModel, ValidationError

from agent.setting_texts import Region, Roof, roof, tariff


class Regions(BaseModel):
    region: Region


def test_one_price_is_a_flat_tariff() -> None:
    assert tariff(" 0.15 ") == ((time(0), 0.15),)


def test_a_day_of_prices_keeps_each_time() -> None:
    assert tariff("00:00 0.07,05:30 -0.27") == ((time(0), 0.07), (time(5, 30), -0.27))


def test_no_text_is_no_tariff_and_no_roof() -> None:
    assert tariff("") == ()
    assert roof("") is None


@pytest.mark.parametrize(
    "text", ["x", "00:00", "00:00 7, 00:00 8", "00:00 27", "12 0.2", "0.1, 0.2", "00:00 nan", ","]
)
def test_what_is_no_tariff_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the words come from the setting
        tariff(text)


def test_a_roof_is_five_numbers() -> None:
    assert roof("51.5, -0.1, 35, 0, 4.2") == Roof(51.5, -0.1, 35, 0, 4.2)


@pytest.mark.parametrize(
    "text", ["1,2,3,4", "1,2,3,4,5,6", "91,0,0,0,1", "0,0,0,0,nan", "a,b,c,d,e"]
)
def test_what_is_no_roof_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the words come from the setting
        roof(text)


@pytest.mark.parametrize(("text", "kept"), [("sw1a 1aa", "SW1A"), ("13", "13"), ("gb", "GB")])
def test_a_region_is_kept_as_the_service_wants_it(text: str, kept: str) -> None:
    assert Regions(region=text).region == kept


@pytest.mark.parametrize("text", ["18", "London", "../x", "M1/../.."])
def test_what_is_no_region_is_refused(text: str) -> None:
    with pytest.raises(ValidationError):
        Regions(region=text)
