"""What a store, a Supervisor and a reviewer look at before anybody installs the app."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path, PurePath
from typing import Any

import pytest
import yaml

from script.app_image import PLATFORMS, STAGED, BuildError, Recipe, outputs, stage
from tests.addon.rating import rating
from tests.addon.repository import (
    ADDON,
    ROOT,
    committed,
    png_size,
    scanned,
)
from tests.peers.install import program

DEFAULTS = {
    "startup": "application", "boot": "auto", "init": True, "stage": "stable", "ingress_port": 8099,
    "host_network": False, "hassio_api": False, "hassio_role": "default", "auth_api": False,
    "apparmor": True, "backup": "hot", "panel_admin": True, "full_access": False, "privileged": [],
}  # fmt: skip
KEYS = {
    "name", "version", "slug", "description", "url", "image", "stage", "arch", "homeassistant",
    "homeassistant_api", "ingress", "ingress_stream", "panel_icon", "panel_title", "uart",
    "services", "tmpfs", "timeout", "backup_exclude", "backup_pre", "backup_post", "stdin", "map",
    "breaking_versions", "options", "schema",
}  # fmt: skip
"""Keys that the Supervisor knows and that cost no right we do not need; it drops any other."""
TYPES = re.compile(r"(str|bool|int|float|email|url|password|port|list\([\w|]+\))\??")
WORKFLOWS = sorted((ROOT / ".github/workflows").iterdir())


@pytest.fixture
def app() -> dict[str, Any]:
    return dict(Recipe.read().app)


@pytest.fixture(scope="module")
def staged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("local") / "pv_edge_agent"
    stage(target)
    return target


def test_its_security_rating_is_the_highest(app: dict[str, Any]) -> None:
    assert rating(app, own_profile=(ADDON / "apparmor.txt").exists()) == 8


@pytest.mark.parametrize(
    ("more", "points"),
    [
        ({"host_network": True}, 7),
        ({"ingress": False}, 6),
        ({"apparmor": False}, 6),
        ({"host_pid": True, "kernel_modules": True}, 5),
        ({"hassio_role": "admin"}, 6),
        ({"privileged": ["SYS_ADMIN", "NET_ADMIN"], "host_uts": True}, 6),
        ({"full_access": True}, 1),
    ],
)
def test_each_right_that_it_does_not_ask_for_would_lower_the_rating(
    app: dict[str, Any], more: dict[str, Any], points: int
) -> None:
    assert rating(app | more, own_profile=True) == points


def test_its_keys_are_known_and_none_repeats_a_default(app: dict[str, Any]) -> None:
    assert set(app) <= KEYS
    assert [key for key, value in app.items() if DEFAULTS.get(key, ...) == value] == []


def test_its_values_are_what_the_supervisor_takes(app: dict[str, Any]) -> None:
    text = (ADDON / "config.yaml").read_text()
    assert f'\nversion: "{app["version"]}"\n' in text, "an unquoted 1.10 is 1.1"
    assert re.fullmatch(r"[a-z0-9._-]+(/[a-z0-9._-]+)+", app["image"]), "lower case, without tag"
    assert re.fullmatch(r"[-_.A-Za-z0-9]+", app["slug"])
    assert app["url"].startswith("https://")
    assert app["arch"] == list(PLATFORMS)[::-1]
    assert 10 <= app["timeout"] <= 300
    assert app["homeassistant"] == "2024.1.0"


def test_every_option_is_typed_and_has_a_default_or_may_be_empty(app: dict[str, Any]) -> None:
    for key, kind in app["schema"].items():
        assert TYPES.fullmatch(kind), f"{key}: {kind}"
        assert key in app["options"] or kind.endswith("?"), f"{key} would block the first start"
    secret = [key for key in app["schema"] if key.endswith(("token", "password"))]
    assert {app["schema"][key] for key in secret} == {"password?"}


def test_the_store_finds_one_app_and_nothing_that_looks_like_one() -> None:
    files = committed()
    assert scanned(files, "config") == {"addon/config.yaml"}
    assert scanned(files, "repository") == {"repository.yaml"}
    # Beside the app's own file the Supervisor would take it for build options.
    assert scanned(files, "build") == {"build.yaml"}
    repository = yaml.safe_load((ROOT / "repository.yaml").read_text())
    assert set(repository) == {"name", "url", "maintainer"}


def test_a_stray_file_would_be_found() -> None:
    stray = [PurePath("tests/x/config.yml"), PurePath(".github/config.yaml")]
    assert scanned([*stray, PurePath("addon/rootfs/etc/config.json")], "config") == {
        "tests/x/config.yml"
    }


@pytest.mark.parametrize(("name", "size"), [("icon.png", (128, 128)), ("logo.png", (250, 100))])
def test_its_pictures_have_the_size_that_the_store_shows(name: str, size: tuple[int, int]) -> None:
    assert png_size(ADDON / name) == size


def test_its_profile_is_one_that_apparmor_accepts() -> None:
    profile = ADDON / "apparmor.txt"
    at_the_margin = re.findall(r"(?m)^profile .*", profile.read_text())
    assert len(at_the_margin) == 1, "the Supervisor replaces the name of exactly one profile"
    parser = program("apparmor_parser")
    if parser is None:
        pytest.skip("no apparmor_parser: run script/setup as root on Debian")
    parsed = subprocess.run(  # noqa: S603
        [parser, "-Q", "-T", "-K", str(profile)], capture_output=True, text=True, check=False
    )
    assert parsed.returncode == 0, parsed.stderr


def test_dockerfile_pins_and_build_agree_on_the_base() -> None:
    recipe = Recipe.read()
    bases = set(recipe.pins["build_from"].values())
    assert set(recipe.pins["build_from"]) == set(recipe.app["arch"]) == set(PLATFORMS)
    (default,) = re.findall(r"(?m)^ARG BUILD_FROM=(.+)$", dockerfile())
    assert bases == {default}
    assert re.fullmatch(r"ghcr\.io/home-assistant/base-debian:trixie-\d{4}\.\d{2}\.\d+", default)
    for arch in PLATFORMS:
        assert f"BUILD_FROM={default}" in outputs(recipe, arch)


def test_every_stage_begins_at_the_base_and_the_last_one_runs_one_process() -> None:
    text = dockerfile()
    assert re.findall(r"(?m)^FROM (\S+) AS (\w+)", text) == [
        ("${BUILD_FROM}", "python"),
        ("python", "wheels"),
        ("python", "runtime"),
    ]
    last = text.rpartition("\nFROM ")[2]
    assert "\nENTRYPOINT []\n" in last
    assert "\nHEALTHCHECK " in last
    assert "RUN " not in last, "what is installed there is not in the bill of materials"


def test_all_that_the_image_copies_is_in_the_context_and_in_the_staged_folder(staged: Path) -> None:
    copied = [
        name.rstrip("/")
        for line in re.findall(r"(?m)^COPY (?!--from)(.+) \S+$", dockerfile())
        for name in line.split()
    ]
    allowed = re.findall(r"(?m)^!(.+)$", (ROOT / ".dockerignore").read_text())
    assert set(copied) == set(allowed)
    assert set(copied) | {".dockerignore"} == set(STAGED)
    assert [name for name in copied if not (staged / name).exists()] == []


def test_the_staged_folder_is_an_app_that_a_supervisor_builds(
    staged: Path, app: dict[str, Any]
) -> None:
    local = yaml.safe_load((staged / "config.yaml").read_text())
    assert local == {key: value for key, value in app.items() if key != "image"}
    files = [path.relative_to(staged) for path in staged.rglob("*") if path.is_file()]
    assert scanned(files, "config") == {"config.yaml"}
    assert scanned(files, "build") == scanned(files, "repository") == set()
    store = {"Dockerfile", "apparmor.txt", "icon.png", "logo.png", "CHANGELOG.md"}
    assert store <= {path.name for path in staged.iterdir()}
    assert not [path for path in files if path.suffix == ".pyc"]
    stage(staged)  # once more, over the one before


def test_staging_removes_no_folder_of_somebody_elses(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(BuildError, match="is there and is no staged app; move it away"):
        stage(tmp_path)
    assert (tmp_path / "mine.txt").exists()


def test_the_image_says_what_the_supervisor_asks_of_it() -> None:
    recipe = Recipe.read()
    labels = recipe.labels("aarch64")
    assert labels["io.hass.type"] == "app"
    assert labels["io.hass.arch"] == "aarch64"
    assert labels["io.hass.version"] == recipe.app["version"] == recipe.tag.rpartition(":")[2]
    assert labels["io.hass.name"] == recipe.app["name"]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_runs_pinned_actions_with_few_rights_and_nobody_elses_words(path: Path) -> None:
    text = path.read_text()
    used = re.findall(r"uses: (.+)$", text, re.MULTILINE)
    assert used
    loose = [it for it in used if not re.fullmatch(r"[\w./-]+@[0-9a-f]{40} # v?[\d.]+", it)]
    assert loose == []
    workflow = yaml.safe_load(text)
    assert workflow["permissions"] == {"contents": "read"}
    for job in workflow["jobs"].values():
        for step in job["steps"]:
            assert "${{" not in step.get("run", ""), "a name from outside would be run as a command"
            if str(step.get("uses")).startswith("actions/checkout@"):
                assert step["with"]["persist-credentials"] is False


def test_the_workflows_test_both_pythons_build_both_architectures_and_watch_the_record() -> None:
    read = {path.stem: yaml.safe_load(path.read_text()) for path in WORKFLOWS}
    assert read["check"]["jobs"]["test"]["strategy"]["matrix"]["python"] == ["3.11", "3.13"]
    built = read["image"]["jobs"]["build"]["strategy"]["matrix"]["include"]
    assert {job["arch"] for job in built} == set(PLATFORMS)
    # YAML 1.1 reads the key `on` as true.
    assert read["manifests"][True]["schedule"] == [{"cron": "17 5 * * 1"}]
    commands = str(read["manifests"]["jobs"])
    assert "manifests expire-check" in commands


def dockerfile() -> str:
    return (ADDON / "Dockerfile").read_text()
