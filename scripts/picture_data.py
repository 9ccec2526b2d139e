#!/usr/bin/env python3
"""Collects what the pictures of the documentation are made of in docs/data, with CPU, date and command of each.

    scripts/picture_data.py kernels             # the last results of `cargo bench --bench kernels`, those that are drawn
    scripts/picture_data.py peers               # benches/peers, with OpenBLAS (Debian: libopenblas-dev)
    scripts/picture_data.py models --llama FOLDER MODEL ..
    scripts/picture_data.py scaling MODEL       # tokens a second by threads and by context
    cd benches/pictures && cargo run --release  # draws them

Each takes its machine for itself: let nothing else run. Needs nothing but Python and cargo.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from compare_llama_cpp import cpu

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT / "docs" / "data"
DRAWN = ["dot_f32", "qdot_q4_0", "qdot_q8_0", "qdot_q4_k", "qdot_q5_k", "qdot_q6_k", "qdot_exact", "dequantize"]
DRAWN += ["gemv", "quantize", "attention", "gemm", "gemm_packed", "sgemm", "layer"]


def today():
    return time.strftime("%Y-%m-%d", time.gmtime())


def write(name, data, rows):
    """A row of the list on a line, so that changes are readable."""
    lines = ",\n".join("  " + json.dumps(row) for row in data.pop(rows))
    head = json.dumps(data, indent=1).rstrip("}").rstrip()
    DATA.mkdir(exist_ok=True)
    (DATA / name).write_text(f'{head},\n "{rows}": [\n{lines}\n ]\n}}\n')
    print(DATA / name)


def rounded(row):
    return {key: float(f"{value:.4g}") if isinstance(value, float) else value for key, value in row.items()}


def kernels(args):
    home = Path(os.environ.get("CRITERION_HOME", Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "criterion"))
    data = json.loads((args.file or home / "summary.json").read_text())

    def drawn(row):
        formats = ("q4_0", "q8_0", "q4_k", "q5_k", "q6_k")
        other = row["of"].startswith("q") and not row["of"].startswith(formats)
        return row["kernel"] in DRAWN and not other and " " not in row["isa"]

    data["results"] = [rounded(row) for row in data["results"] if drawn(row)]
    write("kernels.json", data, "results")


def peers(_):
    for name, options in [("peers", []), ("sgemm", ["--bin", "sgemm"])]:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "results.json"
            command = ["cargo", "run", "--release", "--features", "openblas", *options, "--", "--json", str(file)]
            subprocess.run(command, cwd=ROOT / "benches" / "peers", check=True)
            data = json.loads(file.read_text())
        data["results"] = [rounded(row) for row in data["results"]]
        data["date"] = today()
        write(f"{name}.json", data, "results")


def models(args):
    DATA.mkdir(exist_ok=True)
    for model in args.models:
        command = [sys.executable, ROOT / "scripts" / "compare_llama_cpp.py", model, "--json", DATA / "models.json"]
        for option in ["llama", "quintile", "n_prompt", "n_gen", "rounds"]:
            value = getattr(args, option)
            command += [f"--{option.replace('_', '-')}", str(value)] if value else []
        subprocess.run(command, check=True)


def scaling(args):
    program = args.quintile or ROOT / "target" / "release" / "quintile"
    common = ["-p", "128", "-n", "32", "-r", str(args.repetitions), "-o", "json"]
    runs = [["-t", args.threads, "-d", "0"], ["-t", args.threads.split(",")[-1], "-d", args.depths]]
    records = []
    for run in runs:
        out = subprocess.run([program, "bench", "-m", args.model, *common, *run], stdout=subprocess.PIPE, check=True).stdout
        records += json.loads(out)
    keys = ["model_type", "n_prompt", "n_gen", "n_depth", "n_threads", "avg_ts", "stddev_ts"]
    commands = [f"quintile bench -m {Path(args.model).name} {' '.join(common + run)}" for run in runs]
    data = {"model": Path(args.model).stem, "cpu": cpu(), "date": today(), "command": "; ".join(commands)}
    data["records"] = [rounded({key: record[key] for key in keys}) for record in records]
    write("scaling.json", data, "records")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("kernels")
    one.add_argument("--file", type=Path, help="summary.json, where it is not in target/criterion")
    one.set_defaults(run=kernels)
    commands.add_parser("peers").set_defaults(run=peers)
    one = commands.add_parser("models")
    one.add_argument("models", nargs="+")
    one.add_argument("--llama", metavar="FOLDER")
    one.add_argument("--quintile", help="the program; cargo builds it otherwise")
    one.add_argument("-p", "--n-prompt", type=int)
    one.add_argument("-n", "--n-gen", type=int)
    one.add_argument("--rounds", type=int)
    one.set_defaults(run=models)
    one = commands.add_parser("scaling")
    one.add_argument("model")
    one.add_argument("--quintile", help="the program; target/release/quintile otherwise")
    one.add_argument("--threads", default="1,2")
    one.add_argument("--depths", default="512,1024,2048,4096")
    one.add_argument("--repetitions", type=int, default=3)
    one.set_defaults(run=scaling)
    args = parser.parse_args()
    args.run(args)


if __name__ == "__main__":
    sys.exit(main())
