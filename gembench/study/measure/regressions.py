"""The engine's speed at a commit, and against another: what `make bench` and `make regressions` run.

The measuring is airspeed velocity's, in interleaved rounds as by `asv continuous`; the verdict is our own.
asv's passes when nothing was built or measured, and compares nothing when one benchmark failed at one commit.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from gembench.errors import InputError
from gembench.machine import machine_name
from gembench.study.tell.history import Measurement, load_measurements
from gembench.study.tell.stages import load_stages

FACTOR = 1.3  # beyond what a shared machine does to the medians of interleaved rounds
ROUNDS = 4  # when a suspected slowdown is measured once more
CONFIG, STAGES = "asv.conf.json", "experiments/stages.toml"


def slowdown(before: Measurement, after: Measurement, factor: float = FACTOR) -> bool:
    """Whether both the median and the lower quartile grew by more than `factor`.

    Other programs on the machine only ever add time, so the lower quartile tells more than the scatter does.
    """
    return after.value > factor * before.value and after.quartiles[0] > factor * before.quartiles[0]


def compare(
    base: dict[str, Measurement], head: dict[str, Measurement], factor: float = FACTOR
) -> tuple[list[str], list[str]]:
    """The benchmarks that are slower at `head`, worst first, and those measured at `base` only.

    Raises InputError if no benchmark was measured at both commits.
    """
    both = base.keys() & head.keys()
    if not both:
        raise InputError(
            f"nothing was compared: {len(base)} benchmarks measured at the base, {len(head)} at HEAD, none at"
            " both; see asv's messages above"
        )
    slower = sorted(name for name in both if slowdown(base[name], head[name], factor))
    slower.sort(key=lambda name: base[name].value / head[name].value)
    return slower, sorted(base.keys() - head.keys())


def table(names: Iterable[str], base: dict[str, Measurement], head: dict[str, Measurement]) -> str:
    """One line a benchmark: before, after, after over before (> 1 is slower), name."""
    lines = [f"{'before':>11} {'after':>11} {'ratio':>6}  benchmark"]
    for name in names:
        before, after = base[name].value, head[name].value
        ratio = f"{after / before:6.2f}" if before else "   inf"
        lines.append(f"{before:11.4g} {after:11.4g} {ratio}  {name}")
    return "\n".join(lines)


class Suite:
    """The suite of one checkout, run by asv on this machine.

    root: folder of asv.conf.json
    """

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        if not (self.root / CONFIG).exists():
            raise InputError(f"{self.root / CONFIG}: not found; run this in a checkout of gembench")
        self.machine = machine_name()

    def git(self, *command: str) -> str:
        """What git prints, stripped; nothing if it fails."""
        done = subprocess.run(["git", *command], cwd=self.root, capture_output=True, text=True, check=False)
        return "" if done.returncode else done.stdout.strip()

    def commit(self, revision: str) -> str:
        """The full hash of a revision. Raises InputError if there is none."""
        hashed = self.git("rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}")
        if not hashed:
            raise InputError(f"'{revision}' is no commit here: give a branch, a tag or a hash")
        return hashed

    def asv(self, *command: str, quiet: bool = False) -> int:
        """Run asv; its exit code."""
        output = subprocess.DEVNULL if quiet else None
        return subprocess.run(
            [sys.executable, "-m", "asv", *command], cwd=self.root, stdout=output, check=False
        ).returncode

    def register(self) -> None:
        """Tell asv, in the file it keeps in the user's home, what this machine is called."""
        self.asv("machine", "--yes", quiet=True)
        self.asv("machine", "--yes", "--machine", self.machine, quiet=True)

    def bench(self) -> int:
        """Measure HEAD into asv's results; 1 if a benchmark failed or none was measured."""
        head = self.commit("HEAD")
        if self.git("status", "--porcelain", "--untracked-files=no"):
            print("regressions: uncommitted changes are not measured; asv builds the commit", file=sys.stderr)
        self.register()
        code = self.asv("run", "--machine", self.machine, f"{head}^!")
        measured = load_measurements(self.root / "results" / "asv", self.machine, head)
        print(f"regressions: {len(measured)} values at {head[:8]} in results/asv")
        return int(bool(code) or not measured)

    def history(self) -> int:
        """Measure the commits of `experiments/stages.toml`, and HEAD, where they are not in asv's results.

        Returns asv's exit code. Raises InputError for a commit that is not here.
        """
        commits = [self.commit(stage.commit) for stage in load_stages(self.root / STAGES)]
        folder = self.root / ".asv"
        folder.mkdir(exist_ok=True)
        hashes = folder / "stages"
        hashes.write_text("\n".join([*commits, self.commit("HEAD")]) + "\n", encoding="utf-8")
        self.register()
        return self.asv("run", "--machine", self.machine, "--skip-existing-successful", f"HASHFILE:{hashes}")

    def quick(self) -> int:
        """Run every benchmark once with the Python at hand and keep nothing; asv's exit code."""
        self.register()
        return self.asv("run", "--python=same", "--quick", "--show-stderr", "--machine", self.machine)

    def regressions(self, revision: str, pattern: str = "") -> int:
        """Compare HEAD with `revision`; 1 if a benchmark is slower, twice, or failed at HEAD only.

        pattern: of the benchmarks to run, a regular expression; all of them if it is empty
        """
        base, head = self.commit(revision), self.commit("HEAD")
        if base == head:
            head = self._twin(head)
        self.register()
        before, after = self._measured([base, head], pattern)
        slower, lost = compare(before, after)
        if slower:
            print(f"regressions: {len(slower)} suspected, measured once more")
            exactly = "|".join(f"^{re.escape(name)}$" for name in slower)
            before_again, after_again = self._measured([base, head], exactly, ROUNDS)
            slower, lost_again = compare(before_again, after_again)
            lost = sorted({*lost, *lost_again})
            before, after = before | before_again, after | after_again
        for name in lost:
            print(f"regressions: measured at {base[:8]}, but failed or skipped at {head[:8]}: {name}")
        if slower:
            print(f"regressions: slower than {FACTOR} x {revision}:")
            print(table(slower, before, after))
        else:
            print(f"regressions: none of {len(before.keys() & after.keys())} benchmarks is slower than"
                  f" {FACTOR} x {revision}")
        return int(bool(slower or lost))

    def _twin(self, commit: str) -> str:
        """A commit of the same tree, on no branch: what a machine's own noise makes of no change at all."""
        identity = ("-c", "user.name=gembench", "-c", "user.email=gembench@localhost")
        made = self.git(*identity, "commit-tree", f"{commit}^{{tree}}", "-p", commit, "-m", "The same tree")
        return self.commit(made)

    def _measured(
        self, commits: Sequence[str], pattern: str, rounds: int | None = None
    ) -> list[dict[str, Measurement]]:
        """Measure commits in interleaved rounds into a folder that nothing else has written to."""
        folder = self.root / ".asv" / "regressions"
        results = folder / "results"
        for stale in results.rglob("*.json"):
            stale.unlink()
        folder.mkdir(parents=True, exist_ok=True)
        config = folder / CONFIG
        config.write_text(json.dumps(self._config(results)), encoding="utf-8")
        hashes = folder / "commits"
        hashes.write_text("\n".join(commits) + "\n", encoding="utf-8")
        chosen = [f"--bench={pattern}"] if pattern else []
        repeated = [f"--attribute=rounds={rounds}"] if rounds else []
        self.asv("run", "--config", str(config), "--machine", self.machine, "--interleave-rounds", *chosen,
                 *repeated, f"HASHFILE:{hashes}")
        return [load_measurements(results, self.machine, commit) for commit in commits]

    def _config(self, results: Path) -> dict[str, object]:
        """The checkout's configuration with another folder for results; asv reads paths beside the file."""
        text = (self.root / CONFIG).read_text(encoding="utf-8")
        config = json.loads(re.sub(r"^\s*//.*$", "", text, flags=re.MULTILINE))
        folders = ("repo", "benchmark_dir", "env_dir", "html_dir")
        paths = {key: str(self.root / config[key]) for key in folders}
        return {**config, **paths, "results_dir": str(results)}


def main(argv: Sequence[str] | None = None) -> int:
    """The commands `bench`, `history`, `quick` and `compare BASE`.

    Returns 0 if all is well, 1 if something is slower or failed, 2 for bad input.
    """
    parser = argparse.ArgumentParser(prog="python -m gembench.study.measure.regressions", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("bench", help="measure HEAD into results/asv")
    commands.add_parser("history", help="measure the commits that mark the engine's stages into results/asv")
    commands.add_parser("quick", help="run every benchmark once and keep nothing")
    against = commands.add_parser("compare", help="compare HEAD with a base")
    against.add_argument("base", help="a git revision")
    against.add_argument("--bench", default="", metavar="REGEX", help="only benchmarks whose names match")
    args = parser.parse_args(argv)
    try:
        suite = Suite(Path.cwd())
        if args.command == "compare":
            return suite.regressions(args.base, args.bench)
        return {"bench": suite.bench, "history": suite.history, "quick": suite.quick}[args.command]()
    except InputError as error:
        print(f"regressions: error: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
