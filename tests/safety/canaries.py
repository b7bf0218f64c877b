"""Where 40 planted identifiers end up. Prints both tables:

    python -m tests.safety.canaries

1. What `medviewer deidentify` leaves of them, beside dicom-anonymizer alone on the same files.
2. What the window and the commands leave of them in everything that they write and say: settings, recent list, journal,
   caches, log, temporary files, terminal, exported files and their names. DICOM SEG is an identified format by
   nature: it belongs to the patient's study. `info` and the answers of `--json` name the series: they are asked.
"""

from __future__ import annotations

import contextlib
import io
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from medviewer.services.deidentify import deidentify
from tests.safety.command_journey import REPOSITORY, Spoken, commands, environment, run
from tests.safety.planted import TOKENS, Hits, PlantedSeries, scan_bytes, scan_tree

SCREEN = ("xvfb-run", "-a", "-s", "-screen 0 1920x1080x24")
# Facts about the series that `info` and `--json` are asked for; never a name, number, birth date or address.
ASKED_FOR = {"3.77123.991.5", "SeriesDescVlim", "StudyDescZork", "ProtoNameWark", "20190317", "EchoedInKernel"}
IDENTIFIED = ("DICOM SEG (identified by nature)",)
SINKS = {
    "settings and recent list": "snapshot/config",
    "journal of the running window": "snapshot/data",
    "model cache": "snapshot/cache",
    "log with forced defects": "snapshot/log",
    "session file": "work.mvsession",
    "NIfTI and its sidecar": "nifti",
    "segmentation NRRD": "nrrd",
    "STL": "stl",
    "PLY": "ply",
    "picture of the views": "view",
    "DICOM SEG (identified by nature)": "dicom",
}


@dataclass
class Sink:
    """A place that was searched: how many files, and which tokens were there."""

    name: str
    files: int
    hits: Hits = field(default_factory=Hits)


# -- de-identification ----------------------------------------------------------------------------------------------
def left_by_ours(source: Path, target: Path) -> Hits:
    """Tokens left by this program."""
    deidentify([source], target)
    return scan_tree(target)


def left_by_engine(source: Path, target: Path) -> Hits:
    """Tokens left by dicom-anonymizer with its newest table, private elements removed."""
    from dicomanonymizer.simpledicomanonymizer import anonymize_dicom_file, initialize_actions

    target.mkdir()
    for path in sorted(source.iterdir()):
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            anonymize_dicom_file(
                str(path), str(target / path.name), base_rules_gen=lambda: initialize_actions("dicomfields_2026c")
            )
    return scan_tree(target)


# -- the program ----------------------------------------------------------------------------------------------------
def window_words(scan: Path, folder: Path) -> Spoken:
    """Run the window's journey; its files are in folder/out, folder/home and folder/tmp."""
    (folder / "out").mkdir(parents=True)
    call = [*SCREEN, sys.executable, "-m", "tests.safety.window_journey", str(scan), str(folder / "out"), *TOKENS]
    env = environment(folder / "home", folder / "tmp")
    done = subprocess.run(call, cwd=REPOSITORY, env=env, capture_output=True, timeout=400, check=False)
    return Spoken("window", done.returncode, (done.stdout + done.stderr).decode(errors="replace"))


def window_sinks(folder: Path, words: str) -> list[Sink]:
    """What the window left behind."""
    found = [_sink(name, folder / "out" / place) for name, place in SINKS.items()]
    found.append(_sink("user folders after closing", folder / "home"))
    found.append(_sink("temporary folder", folder / "tmp"))
    found.append(Sink("terminal of the window", 1, scan_bytes(words.encode(), "terminal")))
    return found


def command_sinks(folder: Path, spoken: Mapping[str, Spoken]) -> list[Sink]:
    """What the commands wrote and said."""
    found = [_sink("files of the commands", folder / "out"), _sink("user folders of the commands", folder / "home")]
    found.append(_sink("temporary folder of the commands", folder / "tmp"))
    for name, said in spoken.items():
        hits = scan_bytes(said.words.encode(), name)
        if name.startswith("info") or name.endswith("--json"):
            hits = Hits({token: places for token, places in hits.places.items() if token not in ASKED_FOR})
        found.append(Sink(f"terminal: {name}", 1, hits))
    return found


def run_commands(folder: Path, scan: Path, only: tuple[str, ...] = ()) -> dict[str, Spoken]:
    """Run the commands in folder/out."""
    (folder / "out").mkdir(parents=True)
    env = environment(folder / "home", folder / "tmp")
    calls = commands(scan, folder / "out")
    return {name: run(words, env) for name, words in calls.items() if not only or name in only}


def _sink(name: str, place: Path) -> Sink:
    if place.is_file():
        return Sink(name, 1, scan_bytes(place.read_bytes(), place.name))
    return Sink(name, sum(p.is_file() for p in place.rglob("*")), scan_tree(place))


def _print_deidentified(source: Path, folder: Path) -> int:
    planted, engine = scan_tree(source), left_by_engine(source, folder / "engine")
    ours = left_by_ours(source, folder / "ours")
    print(f"{'identifier planted in':<70} {'medviewer':>10} {'dicom-anonymizer':>17}")
    for token, place in TOKENS.items():
        marks = ["left" if token in hits.places else "-" for hits in (ours, engine)]
        print(f"{place:<70} {marks[0]:>10} {marks[1]:>17}")
    print(f"{f'left of {len(planted)}':<70} {len(ours):>10} {len(engine):>17}\n")
    return len(ours)


def main() -> int:
    """Print both tables; 0 if nothing is where it must not be."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        scan = folder / "scan"
        PlantedSeries().write(scan)
        failures = _print_deidentified(scan, folder)
        words = window_words(scan, folder / "window")
        spoken = run_commands(folder / "commands", scan)
        sinks = [*window_sinks(folder / "window", words.words), *command_sinks(folder / "commands", spoken)]
    for said in (words, *spoken.values()):
        if said.status:
            print(f"{said.name} failed ({said.status}): {said.words[-1000:]}")
            failures += 1
    print(f"{'searched':<40} {'files':>6} {f'hits of {len(TOKENS)}':>11}")
    for sink in sinks:
        expected = sink.name in IDENTIFIED
        print(f"{sink.name:<40} {sink.files:>6} {len(sink.hits):>11}  {'' if expected else sink.hits.places or ''}")
        failures += 0 if expected else len(sink.hits)
    return min(failures, 1)


if __name__ == "__main__":
    sys.exit(main())
