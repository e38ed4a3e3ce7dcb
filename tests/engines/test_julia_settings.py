"""Which Julia, where each option came from, and whether it is ready: no Julia needed."""

from __future__ import annotations

import json
import socket
import stat
import threading
import time
import tomllib
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import pytest
from typer.testing import CliRunner

import numdl_bridge
from numdl_bridge.cli import julia as cli_julia
from numdl_bridge.engines.julia import readiness as ready
from numdl_bridge.engines.julia import stamps
from numdl_bridge.engines.julia.settings import config_file, resolve, write_file
from numdl_bridge.errors import BadInputError
from numdl_bridge.resources import folder


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A user without any settings."""
    for name in ("EXE", "PROJECT", "DEPOT"):
        monkeypatch.delenv(f"NUMDL_JULIA_{name}", raising=False)
    monkeypatch.delenv("JULIA_DEPOT_PATH", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path


def program(path: Path, text: str) -> Path:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def project(path: Path, *, without: tuple[str, ...] = (), pythoncall: str | None = None) -> Path:
    """A project whose manifest has what NumDLBridge needs, and a depot that has the packages."""
    path.mkdir()
    (path / "Project.toml").write_text("[deps]\n")
    lines = ['manifest_format = "2.0"\n']
    for name in ready.needed_packages():
        if name in without:
            continue
        number = (pythoncall or version("juliacall")) if name == "PythonCall" else "1.0.0"
        lines.append(f'[[deps.{name}]]\ngit-tree-sha1 = "0"\nversion = "{number}"\n')
        (path / "depot" / "packages" / name).mkdir(parents=True)
    (path / "Manifest.toml").write_text("\n".join(lines))
    return path


def ready_julia(home: Path, **kwargs):
    exe = program(home / "julia", 'echo "julia version 1.10.4"')
    place = project(home / "project", **kwargs)
    return resolve(exe, place, place / "depot")


def test_order_of_the_sources(home, monkeypatch):
    assert resolve().exe.source == "juliapkg default"
    write_file({"exe": "/file/julia", "project": "/file/project"})
    assert resolve().exe.value == "/file/julia"
    assert str(config_file()) in resolve().exe.source
    monkeypatch.setenv("NUMDL_JULIA_EXE", "/environment/julia")
    settings = resolve()
    assert settings.exe.value == "/environment/julia"
    assert "NUMDL_JULIA_EXE" in settings.exe.source
    assert settings.project.value == "/file/project"
    assert resolve(exe="/argument/julia").exe.source == "argument"


@pytest.mark.parametrize("named", [{"exe": "/a"}, {"project": "/a"}])
def test_half_a_pair_is_an_error(home, named):
    with pytest.raises(BadInputError, match="both or neither"):
        resolve(**named)


@pytest.mark.parametrize("text", ["exe = ", "exe = 3", "ex = '/a'\n", "\x00"])
def test_a_spoilt_file_is_one_message(home, text):
    config_file().parent.mkdir(parents=True)
    config_file().write_text(text)
    with pytest.raises(BadInputError, match="numdl julia forget"):
        resolve()


def test_environment_of_the_worker(home):
    inherited = {"PATH": "/bin", "PYTHON_JULIACALL_THREADS": "auto", "OMP_NUM_THREADS": "8"}
    env = resolve("/x/julia", "/x/project", "/x/depot").environment(inherited)
    assert env["PYTHON_JULIACALL_EXE"] == "/x/julia"
    assert env["PYTHON_JULIACALL_PROJECT"] == "/x/project"
    assert env["JULIA_DEPOT_PATH"] == "/x/depot"
    assert env["PYTHON_JULIAPKG_OFFLINE"] == "yes"
    assert env["PYTHON_JULIACALL_HANDLE_SIGNALS"] == "yes"
    assert {v for k, v in env.items() if k.endswith("_NUM_THREADS")} == {"1"}
    assert env["PYTHON_JULIACALL_THREADS"] == "1"
    default = resolve(environ={}).environment({"PYTHON_JULIAPKG_PROJECT": "/mine"})
    assert "PYTHON_JULIACALL_EXE" not in default
    assert default["PYTHON_JULIAPKG_PROJECT"] == "/mine"


def test_ready(home):
    began = time.monotonic()
    found = ready.readiness(ready_julia(home))
    assert found.state == "ready", found
    assert found.message is None
    assert time.monotonic() - began < 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('echo "GNU Octave, version 8"', "is not a Julia.*Octave"),
        ("exit 3", "is not a Julia"),
        ('echo "julia version 1.6.7"', r"Julia 1\.6\.7, which is not between 1\.10 and 1\.12"),
        ('echo "julia version 2.0.0"', r"Julia 2\.0\.0"),
    ],
)
def test_a_julia_that_is_none(home, text, message):
    exe = program(home / "julia", text)
    place = project(home / "project")
    found = ready.readiness(resolve(exe, place, place / "depot"))
    assert found.state == "missing"
    assert found.remedy
    import re

    assert re.search(message, found.reason), found.reason


def test_a_julia_that_hangs_when_asked(home, monkeypatch):
    exe = program(home / "julia", "sleep 60")
    monkeypatch.setattr(ready.subprocess, "run", _hurried(ready.subprocess.run))
    place = project(home / "project")
    assert "nothing within 5 s" in ready.readiness(resolve(exe, place)).reason


def _hurried(run):
    return lambda *args, **kwargs: run(*args, **{**kwargs, "timeout": 0.2})


def test_a_julia_that_is_not_there(home):
    found = ready.readiness(resolve(home / "no" / "julia", home))
    assert "is not an executable file" in found.reason


def test_projects_that_are_none(home):
    exe = program(home / "julia", 'echo "julia version 1.11.2"')
    assert "no Project.toml" in ready.readiness(resolve(exe, home)).reason
    (home / "Project.toml").write_text("")
    assert "no Manifest.toml" in ready.readiness(resolve(exe, home)).reason
    (home / "Manifest.toml").write_text("[[[")
    assert "cannot be read" in ready.readiness(resolve(exe, home)).reason


def test_a_project_without_the_packages(home):
    found = ready.readiness(ready_julia(home, without=("Flux", "Zygote")))
    assert "lacks Flux, Zygote" in found.reason
    assert "numdl julia setup" in found.remedy


def test_a_project_with_another_pythoncall(home):
    found = ready.readiness(ready_julia(home, pythoncall="0.9.20"))
    assert "has PythonCall 0.9.20" in found.reason
    assert version("juliacall") in found.remedy


def test_a_depot_without_the_packages(home):
    settings = ready_julia(home)
    (home / "project" / "depot" / "packages" / "Flux").rmdir()
    assert "Flux" in ready.readiness(settings).reason
    assert "depot" in ready.readiness(settings).remedy


def test_a_failed_start_is_remembered_until_something_changes(home):
    settings = ready_julia(home)
    stamps.write_stamp(settings, False, "it fell over")
    assert "it fell over" in ready.readiness(settings).reason
    manifest = home / "project" / "Manifest.toml"
    manifest.write_text(manifest.read_text() + "\n")
    assert ready.readiness(settings).state == "ready"


def test_nothing_set_up_and_no_network(home, monkeypatch):
    from juliapkg import deps

    monkeypatch.setattr(deps, "can_skip_resolve", lambda: False)
    monkeypatch.setattr("juliapkg.state.STATE", {"offline": False})
    assert "network" in ready.readiness(resolve(), online=lambda: False).reason
    assert ready.readiness(resolve(), online=lambda: True).state == "installable"
    monkeypatch.setattr("juliapkg.state.STATE", {"offline": True})
    assert "offline" in ready.readiness(resolve(), online=lambda: True).reason


def test_a_network_that_swallows_everything_costs_three_seconds(monkeypatch):
    enough = threading.Event()

    def swallow(*args, **kwargs):
        enough.wait(30)
        raise TimeoutError("nobody answered")

    monkeypatch.setattr(socket, "create_connection", swallow)
    began = time.monotonic()
    assert ready.network_answers({}) is False
    assert time.monotonic() - began < ready.NETWORK_SECONDS + 1
    enough.set()


def test_juliapkg_lists_what_the_project_needs():
    """Two lists of one thing: juliapkg reads the one, Pkg the other."""
    package = Path(numdl_bridge.__file__).parent
    listed = json.loads((package / "juliapkg.json").read_text())
    own = tomllib.loads((folder("julia") / "Project.toml").read_text())
    standard = {"LinearAlgebra", "SHA", "Statistics"}
    assert set(listed["packages"]) == set(own["deps"]) - standard
    for name, entry in listed["packages"].items():
        assert entry["uuid"] == own["deps"][name]
        assert entry["version"] == own["compat"][name], name
    assert own["version"] == numdl_bridge.__version__


def test_command_line(home):
    run = CliRunner().invoke
    exe = program(home / "julia", 'echo "julia version 1.10.4"')
    place = project(home / "project")
    depot = str(place / "depot")
    out = run(cli_julia.app, ["use", "--exe", str(exe), "--project", str(place), "--depot", depot])
    assert out.exit_code == 0, out.output
    out = run(cli_julia.app, ["status"])
    assert out.exit_code == 0, out.output
    assert "ready" in out.output
    assert "julia.toml" in out.output.replace("\n", "")
    out = run(cli_julia.app, ["forget"])
    assert out.exit_code == 0
    assert not config_file().exists()
    assert run(cli_julia.app, ["use", "--exe", str(exe)]).exit_code == 2
    assert run(cli_julia.app, ["use"]).exit_code == 2
    out = run(cli_julia.app, ["setup", "--exe", "/bin/true", "--project", str(home / "new")])
    assert out.exit_code == 2
    assert "Traceback" not in out.output


def test_more_threads_reach_julia_and_its_blas() -> None:
    env = replace(resolve(environ={}), threads=3).environment({"OMP_NUM_THREADS": "8"})
    assert {v for k, v in env.items() if k.endswith("_NUM_THREADS")} == {"3"}
    assert env["PYTHON_JULIACALL_THREADS"] == "3"
