"""The register map says what the plant does, in the words that the vendor's document gives."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.house import alphaess as map_
from agent.house.alphaess import DispatchBlock, Register, decode, encode
from agent.simulator.faults import VALUE_NAMES, FaultError, Faults
from agent.simulator.plant import Plant, PlantSettings
from agent.simulator.registers import IllegalAddressError, RegisterMap
from tests.peers.hillview import registers as hillview_registers

NAMED = {
    "grid_w": map_.GRID_W,
    "battery_w": map_.BATTERY_W,
    "soc_percent": map_.SOC_PERCENT,
    "exported_wh": map_.EXPORTED_WH,
    "imported_wh": map_.IMPORTED_WH,
    "produced_wh": map_.PRODUCED_WH,
    "pv_w": map_.PV_STRINGS_W[0],
}


def house(**changes: object) -> tuple[Plant, Faults, RegisterMap]:
    plant = Plant(PlantSettings(**changes))  # type: ignore[arg-type]
    plant.pv_override_w, plant.load_override_w = 2500.0, 400.0
    plant.step(60)
    faults = Faults()
    return plant, faults, RegisterMap(plant, faults)


def value(registers: RegisterMap, register: Register) -> float:
    return decode(register, registers.read(register.address, register.words))


@given(
    signed=st.booleans(),
    words=st.integers(1, 2),
    scale=st.sampled_from([1, 0.1, 10, 100, 0.392]),
    raw=st.integers(0, 2**32 - 1),
)
def test_every_raw_value_survives_decoding_and_encoding(
    signed: bool, words: int, scale: float, raw: int
) -> None:
    register = Register("any", 0, words, signed=signed, scale=scale)
    raw %= 2 ** (16 * words)
    as_words = [raw >> 16, raw & 0xFFFF][2 - words :]
    assert encode(register, decode(register, as_words)) == as_words


@given(watts=st.integers(-40_000, 40_000))
def test_signed_powers_survive_encoding(watts: int) -> None:
    assert decode(map_.GRID_W, encode(map_.GRID_W, watts)) == watts


def test_powers_and_counters_are_what_the_plant_has() -> None:
    plant, _, registers = house(noise_w=0.0, soc_percent=61.27)
    plant.dispatch.write(0, DispatchBlock(True, 2000, 10, 600).registers())
    plant.step(300)
    assert value(registers, map_.GRID_W) == pytest.approx(plant.grid_w, abs=0.5)
    assert value(registers, map_.GRID_W) < -3000, "negative exports"
    assert value(registers, map_.BATTERY_W) == pytest.approx(2000, abs=1), "positive discharges"
    strings = [value(registers, string) for string in map_.PV_STRINGS_W]
    assert sum(strings) == 2500
    assert 0 <= plant.soc_percent - value(registers, map_.SOC_PERCENT) <= 0.1
    for register, true_wh, step in (
        (map_.EXPORTED_WH, plant.true_exported_wh, 10),
        (map_.IMPORTED_WH, plant.true_imported_wh, 10),
        (map_.PRODUCED_WH, plant.true_produced_wh, 100),
    ):
        assert 0 <= true_wh - value(registers, register) < step
        assert value(registers, register) % step == pytest.approx(0)


def test_every_address_of_the_hillview_package_is_answered() -> None:
    _, _, registers = house()
    asked = hillview_registers()
    assert len(asked) == 141
    for address, count in asked:
        assert len(registers.read(address, count)) == count


@pytest.mark.parametrize("address", [0x0060, 0x0200, 0x0870, 0x088B, 0x0900, 0xFFFF])
def test_an_address_that_no_document_names_is_refused(address: int) -> None:
    _, _, registers = house()
    with pytest.raises(IllegalAddressError):
        registers.read(address, 1)


def test_a_read_across_the_end_of_a_bank_is_refused() -> None:
    _, _, registers = house()
    with pytest.raises(IllegalAddressError):
        registers.read(0x0880, 12)


def test_the_whole_map_is_the_same_read_in_one_or_in_single_words() -> None:
    plant, _, registers = house()
    plant.dispatch.write(0, DispatchBlock(True, -1500, 90, 120).registers())
    for start, count in ((0x0000, 0x30), (0x0100, 0x60), (0x0400, 0x70), (0x0880, 11)):
        singles = [registers.read(start + n, 1)[0] for n in range(count)]
        assert registers.read(start, count) == singles


def test_swapped_counters_change_places() -> None:
    plant = Plant(PlantSettings(exported_start_wh=5000, imported_start_wh=9000))
    registers = RegisterMap(plant, Faults(), counters_swapped=True)
    assert value(registers, map_.EXPORTED_WH) == 9000
    assert value(registers, map_.IMPORTED_WH) == 5000


def test_measurements_cannot_be_written() -> None:
    _, _, registers = house()
    with pytest.raises(IllegalAddressError):
        registers.write(map_.GRID_W.address, [0, 0])


def test_the_feed_limit_can_be_written_and_read_back() -> None:
    _, _, registers = house()
    registers.write(map_.MAX_FEED_PERCENT.address, [50])
    assert value(registers, map_.MAX_FEED_PERCENT) == 50


@pytest.mark.parametrize("name", sorted(NAMED))
def test_a_frozen_value_is_served_as_it_was_and_moves_again_afterwards(name: str) -> None:
    plant, faults, registers = house()
    before = value(registers, NAMED[name])
    faults.set(freeze=[name])
    plant.pv_override_w, plant.load_override_w = 700.0, 3600.0
    plant.dispatch.write(0, DispatchBlock(True, 4500, 10, 900).registers())
    plant.step(600)
    plant.pv_override_w = 4000.0
    plant.load_override_w = 9500.0
    plant.step(600)
    assert value(registers, NAMED[name]) == before
    others = [n for n in NAMED if n != name]
    fresh = RegisterMap(plant, Faults())
    assert all(value(registers, NAMED[n]) == value(fresh, NAMED[n]) for n in others)
    faults.clear()
    assert value(registers, NAMED[name]) == value(fresh, NAMED[name])
    if name != "exported_wh":
        assert value(registers, NAMED[name]) != before


@pytest.mark.parametrize("name", sorted(NAMED))
def test_single_values_jump_drop_and_turn_to_zero(name: str) -> None:
    _, faults, registers = house()
    before = value(registers, NAMED[name])
    faults.set(jump=[name])
    assert value(registers, NAMED[name]) > before
    faults.clear()
    faults.set(negative_jump=[name])
    assert value(registers, NAMED[name]) < before
    faults.clear()
    faults.set(unavailable_as_zero=[name])
    assert value(registers, NAMED[name]) == 0


def test_a_misspelt_fault_is_an_error_and_changes_nothing() -> None:
    faults = Faults()
    for wrong in (
        {"mute": True, "freze": True},
        {"mute": True, "freeze": ["grid"]},
        {"mute": True, "freeze": "grid_w"},
        {"mute": True, "jump": ["dispatch"]},
        {"mute": True, "slow_s": -1},
        {"mute": 1},
    ):
        with pytest.raises(FaultError):
            faults.apply(wrong)
    assert faults == Faults()


def test_a_fault_without_names_means_every_value() -> None:
    faults = Faults()
    faults.set(freeze=True)
    assert faults.freeze == VALUE_NAMES
    faults.set(freeze=False)
    assert faults.freeze == set()
