"""What is installed is built with the protections that compiler and linker have, by its ELF headers."""

import re
import subprocess

import pytest


def readelf(path, *options):
    return subprocess.run(
        ["readelf", "--wide", *options, path], check=True, capture_output=True, text=True, env={"LC_ALL": "C"}
    ).stdout


@pytest.fixture(scope="module")
def objects(installed):
    """The installed ELF files, by name."""
    prefix = installed.ipcluster.parent.parent
    files = [path for path in prefix.rglob("*") if path.is_file() and not path.is_symlink()]
    found = {path.name: path for path in files if path.open("rb").read(4) == b"\x7fELF"}
    for expected in ("ipcontroller", "ipengine", "ipcluster", "json.so", "sqlite.so", "python.so", "local.so"):
        assert expected in found
    assert any(name.startswith("libipcluster.so") for name in found)
    assert "_client.abi3.so" in found and "_engine.abi3.so" in found
    return found


def test_programs_and_libraries_are_loaded_at_addresses_that_vary(objects):
    for name, path in objects.items():
        assert re.search(r"Type:\s+DYN ", readelf(path, "--file-header")), f"{name} has a fixed address"


def test_no_address_of_a_function_can_be_written_once_a_program_runs(objects):
    for name, path in objects.items():
        assert "GNU_RELRO" in readelf(path, "--program-headers"), f"{name} has no RELRO"
        assert re.search(
            r"\(FLAGS\).*BIND_NOW|\(BIND_NOW\)|\(FLAGS_1\).*NOW", readelf(path, "--dynamic")
        ), f"{name} binds late"


def test_no_stack_is_executable(objects):
    for name, path in objects.items():
        stack = re.search(r"GNU_STACK.*", readelf(path, "--program-headers"))
        assert stack and " RW " in stack.group(0), f"{name} has an executable stack"


def test_what_is_written_beyond_an_array_on_the_stack_ends_the_program(objects):
    for name, path in objects.items():
        symbols = readelf(path, "--dyn-syms")
        if re.search(
            r"FUNC .* UND (?!__cxa_finalize)", symbols
        ):  # the others are tables, without a function of their own
            assert "__stack_chk_fail" in symbols, f"{name} has no guard on its stack"


def test_what_is_copied_beyond_a_buffer_ends_the_program(objects):
    for name in ("ipcontroller", "ipengine", "ipcluster"):
        assert re.search(r"\b__\w+_chk\b", readelf(objects[name], "--dyn-syms")), f"{name} is not fortified"
