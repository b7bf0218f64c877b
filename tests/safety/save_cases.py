"""Everything the program writes, as cases of one kind: save variant 0 or 1 into a folder, tell which one lies there.

Used by the tests that kill, starve and forbid saves.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medviewer.core.progress import silent
from medviewer.core.provenance import Provenance
from medviewer.core.scene import Scene
from medviewer.core.segmentation import Segment
from medviewer.core.volume import Volume

NAMES = (("Left kidney", "Spleen"), ("Right kidney", "Pancreas"))


class Inputs:
    """Scans opened from a folder that no case writes to, and two variants of segments on each."""

    def __init__(self, folder: Path, shape: tuple[int, int, int] = (40, 36, 24)) -> None:
        self.folder, self.shape = folder, shape
        folder.mkdir(parents=True, exist_ok=True)

    @cached_property
    def nifti(self) -> Volume:
        from medviewer.services import open_data, save_data

        path = self.folder / "ct.nii.gz"
        save_data.save_volume_nifti(path, self._volume(1))
        return open_data.open_volume(path, modality="CT")

    @cached_property
    def short(self) -> Volume:
        """Few slices, for what writes a file per slice."""
        from medviewer.services import open_data, save_data

        path = self.folder / "short.nii.gz"
        volume = self._volume(4)
        save_data.save_volume_nifti(path, volume.with_changes(array=volume.array[:, :, :6].copy(order="F")))
        return open_data.open_volume(path, modality="CT")

    @cached_property
    def dicom(self) -> Volume:
        from medviewer.io import dicom_source
        from medviewer.services import open_data

        series = self.folder / "series"
        series.mkdir()
        dicom_source.write_series(series, self._volume(2), silent())
        return open_data.open_volume(series)

    @cached_property
    def picture(self) -> Volume:
        from PIL import Image

        from medviewer.services import open_data

        values = np.random.default_rng(3).integers(0, 255, (90, 120), np.uint8)
        Image.fromarray(values).save(self.folder / "x.png")
        return open_data.open_volume(self.folder / "x.png")

    def _volume(self, seed: int) -> Volume:
        affine = np.diag([1.5, 2.0, 3.0, 1.0])
        affine[:3, 3] = -20, 10, 30
        values = np.random.default_rng(seed).integers(-1000, 1000, self.shape).astype(np.int16)
        return Volume(np.asfortranarray(values), affine, "CT", "HU", id="made", title="made")

    def other_values(self, variant: int) -> NDArray[np.int16]:
        return np.asfortranarray(self._volume(10 + variant).array)


def segments(volume: Volume, variant: int) -> list[Segment]:
    """Two blobs whose place, names and noise tell the variant."""
    rng = np.random.default_rng(variant)
    made = []
    for number, name in enumerate(NAMES[variant]):
        mask = np.zeros(volume.shape, np.bool_)
        start = 3 + 6 * number + 2 * variant
        mask[start : start + 14, start : start + 12, : max(1, volume.shape[2] - 4)] = True
        mask &= rng.random(volume.shape) > 0.2
        made.append(Segment(name, mask, (10 + variant, 20, 30), provenance=Provenance(prompt=name)))
    return made


def solid(volume: Volume, variant: int) -> list[Segment]:
    """The same without noise, for surfaces."""
    made = []
    for number, name in enumerate(NAMES[0]):
        mask = np.zeros(volume.shape, np.bool_)
        start = 4 + 6 * number + 3 * variant
        mask[start : start + 14 + variant, start : start + 12, 4 : volume.shape[2] - 4] = True
        made.append(Segment(name, mask))
    return made


@dataclass(frozen=True)
class SaveCase:
    """`save(folder, variant)` writes; `found(folder)` reads everything back and gives the variant that lies there,
    raising AssertionError where it is neither whole. `target` is the file or folder that the user named."""

    name: str
    target: str
    save: Callable[[Path, int], object]
    found: Callable[[Path], int]


def all_cases(inputs: Inputs) -> list[SaveCase]:
    """One case per kind of output."""
    masks = [_masks(inputs, name) for name in ("m.nii.gz", "m.nii", "m.seg.nrrd", "m.dcm")]
    return [
        *masks, _seg_with_source(inputs), _surfaces(inputs, "m.stl"), _surfaces(inputs, "m.ply"), _pictures(inputs),
        _view(), _volume(inputs), _session(inputs), _settings(), _folder(), _rows(),
    ]  # fmt: skip


def which(equal: Callable[[int], bool]) -> int:
    """The variant for which something holds."""
    for variant in (0, 1):
        if equal(variant):
            return variant
    raise AssertionError("neither the old nor the new content")


def _masks(inputs: Inputs, name: str) -> SaveCase:
    from medviewer.services import save_data

    def volume() -> Volume:
        return inputs.dicom if name.endswith(".dcm") else inputs.nifti

    def save(folder: Path, variant: int) -> object:
        return save_data.save_segments(folder / name, volume(), segments(volume(), variant))

    def found(folder: Path) -> int:
        return which(lambda v: same_masks(folder / name, volume(), segments(volume(), v)))

    return SaveCase(name.removeprefix("m."), name, save, found)


def same_masks(path: Path, volume: Volume, made: list[Segment]) -> bool:
    """Masks and, by names, the sidecar: both of one variant."""
    from medviewer.services import save_data

    read = save_data.read_mask(path, volume)
    expected = [segment.mask for segment in made]
    if path.name.endswith((".nii", ".nii.gz")):
        expected[0] = expected[0] & ~expected[1]
    same = [np.array_equal(a.mask, b) for a, b in zip(read, expected, strict=True)]
    named = [a.name == b.name for a, b in zip(read, made, strict=True)]
    assert all(same) == all(named), f"{path.name}: masks of one save, names of another"
    return all(same)


def _seg_with_source(inputs: Inputs) -> SaveCase:
    import pydicom

    from medviewer.services import save_data

    def save(folder: Path, variant: int) -> object:
        return save_data.save_segments(folder / "s.dcm", inputs.short, segments(inputs.short, variant))

    def found(folder: Path) -> int:
        wanted = pydicom.dcmread(folder / "s.dcm").ReferencedSeriesSequence[0]
        uids = {str(item.ReferencedSOPInstanceUID) for item in wanted.ReferencedInstanceSequence}
        files = [pydicom.dcmread(path) for path in (folder / "s_source").rglob("*.dcm")]
        present = {
            f.SOPInstanceUID for f in files
            if f.SeriesInstanceUID == wanted.SeriesInstanceUID and f.pixel_array.any()
        }  # fmt: skip
        assert uids, "no references"
        assert uids <= present, "the segmentation refers to files that are not there"
        return which(lambda v: same_masks(folder / "s.dcm", inputs.short, segments(inputs.short, v)))

    return SaveCase("dcm + source series", "s.dcm", save, found)


def _surfaces(inputs: Inputs, name: str) -> SaveCase:
    from medviewer.core.errors import OutputNotWritten
    from medviewer.io import mesh_file
    from medviewer.services import save_data

    def save(folder: Path, variant: int) -> object:
        return save_data.save_segments(folder / name, inputs.nifti, solid(inputs.nifti, variant))

    def fits(path: Path, made: list[Segment]) -> bool:
        try:
            mesh_file.verify(path, inputs.nifti, made)
        except OutputNotWritten:
            return False
        return True

    def found(folder: Path) -> int:
        variant = which(lambda v: fits(folder / name, solid(inputs.nifti, v)))
        parts = [path for path in sorted(folder.glob(f"m_?_*{Path(name).suffix}")) if not path.name.startswith(".")]
        assert len(parts) == 2
        for number, part in enumerate(parts):
            of = which(lambda v, n=number, p=part: fits(p, solid(inputs.nifti, v)[n : n + 1]))  # type: ignore[misc]
            assert of == variant or _replaced_before(folder / name, part)
        return variant

    return SaveCase(Path(name).suffix[1:], name, save, found)


def _replaced_before(whole: Path, part: Path) -> bool:
    """The named file is replaced last: a part of another save is the newer one."""
    return part.stat().st_mtime_ns >= whole.stat().st_mtime_ns


def _pictures(inputs: Inputs) -> SaveCase:
    from PIL import Image

    from medviewer.io.write_png import mask_picture
    from medviewer.services import save_data

    def of(variant: int) -> list[Segment]:
        made = segments(inputs.picture, variant)
        return [segment.changed(name=name) for segment, name in zip(made, NAMES[0], strict=True)]

    def save(folder: Path, variant: int) -> object:
        return save_data.save_segments(folder / "m.png", inputs.picture, of(variant))

    def same(path: Path, made: list[Segment]) -> bool:
        return np.array_equal(np.asarray(Image.open(path)), mask_picture(inputs.picture, made))

    def found(folder: Path) -> int:
        variant = which(lambda v: same(folder / "m.png", of(v)))
        for number, part in enumerate(sorted(folder.glob("m_?_*.png"))):
            own = which(lambda v, n=number, p=part: same(p, of(v)[n : n + 1]))  # type: ignore[misc]
            assert own == variant or _replaced_before(folder / "m.png", part)
        return variant

    return SaveCase("png", "m.png", save, found)


def _view() -> SaveCase:
    from PIL import Image

    from medviewer.services import save_data

    def picture(variant: int) -> NDArray[np.uint8]:
        return np.random.default_rng(variant).integers(0, 255, (200, 260, 3), np.uint8)

    def save(folder: Path, variant: int) -> object:
        return save_data.save_view_png(folder / "view.png", picture(variant))

    def found(folder: Path) -> int:
        read = np.asarray(Image.open(folder / "view.png"))
        return which(lambda v: np.array_equal(read, picture(v)))

    return SaveCase("picture of a view", "view.png", save, found)


def _volume(inputs: Inputs) -> SaveCase:
    from medviewer.services import open_data, save_data

    def save(folder: Path, variant: int) -> object:
        scan = inputs.nifti.with_changes(array=inputs.other_values(variant))
        return save_data.save_volume_nifti(folder / "v.nii.gz", scan)

    def found(folder: Path) -> int:
        read = open_data.open_volume(folder / "v.nii.gz").array
        return which(lambda v: np.array_equal(read, inputs.other_values(v)))

    return SaveCase("converted scan", "v.nii.gz", save, found)


def _session(inputs: Inputs) -> SaveCase:
    from medviewer.services import sessions

    def save(folder: Path, variant: int) -> object:
        scene = Scene()
        scene.add_volume(inputs.nifti)
        for segment in segments(inputs.nifti, variant):
            scene.add_segment(segment)
        return sessions.save_session(folder / "s.mvsession", sessions.state_of(scene))

    def same(folder: Path, variant: int) -> bool:
        (scan,) = sessions.load_session(folder / "s.mvsession").scene.scans
        made = segments(inputs.nifti, variant)
        return all(
            a.name == b.name and np.array_equal(a.mask, b.mask) for a, b in zip(scan.segments, made, strict=True)
        )

    return SaveCase("session", "s.mvsession", save, lambda folder: which(lambda v: same(folder, v)))


def _settings() -> SaveCase:
    """`Settings` tells nobody of a failure; the case raises where the value is not on the disk afterwards."""
    from medviewer.io.atomic import write_text_atomic
    from medviewer.services.settings import Settings

    def save(folder: Path, variant: int) -> object:
        settings = Settings(folder / "settings.json")
        settings.set("variant", -1)
        settings.set("words", [str(variant)] * 20_000)
        settings.set("variant", variant)
        if Settings(folder / "settings.json").get("variant", -2) != variant:
            write_text_atomic(folder / "settings.json", json.dumps(settings.as_dict()))  # says why not
        return None

    def found(folder: Path) -> int:
        values = json.loads((folder / "settings.json").read_text())
        words = set(values["words"])
        assert len(words) == 1
        assert values["variant"] in (-1, int(next(iter(words))))
        return int(next(iter(words)))

    return SaveCase("settings", "settings.json", save, found)


def _folder() -> SaveCase:
    """A model bundle: several files that are only right together."""
    from medviewer.io.atomic import atomic_folder

    def save(folder: Path, variant: int) -> object:
        with atomic_folder(folder / "bundle") as temporary:
            for number in range(4):
                (temporary / f"{number}.bin").write_bytes(bytes([variant]) * 200_000)
        return None

    def found(folder: Path) -> int:
        files = sorted((folder / "bundle").iterdir())
        assert [path.name for path in files] == [f"{n}.bin" for n in range(4)]
        return which(lambda v: all(path.read_bytes() == bytes([v]) * 200_000 for path in files))

    return SaveCase("bundle folder", "bundle", save, found)


def _rows() -> SaveCase:
    """The list of finished rows of a batch is appended to; rows that were noted before stay, whatever happens."""
    from medviewer.io.atomic import write_text_atomic
    from medviewer.services.batch_journal import JOURNAL_NAME, BatchJournal
    from medviewer.services.batch_rows import BatchRow
    from medviewer.services.results import RowResult

    def row(number: int) -> BatchRow:
        return BatchRow(number, "ct.nii.gz", "kidney", f"{number}.bin", None, Path("ct.nii.gz"))

    def noted(folder: Path) -> int:
        journal = BatchJournal(folder, "model")
        return sum(journal.finished(row(n), folder / "out.bin") is not None for n in range(500))

    def save(folder: Path, variant: int) -> object:
        (folder / "out.bin").touch()
        count = noted(folder)
        journal = BatchJournal(folder, "model")
        for number in range(count, count + 3):
            journal.add(row(number), RowResult(number, "ct.nii.gz", "kidney", "x" * 4000), folder / "out.bin")
        write_text_atomic(folder / "count", str(noted(folder)))
        return None

    def found(folder: Path) -> int:
        before = int((folder / "count").read_text()) if (folder / "count").is_file() else 0
        assert noted(folder) >= before, "rows that were finished are forgotten"
        return 0 if noted(folder) == before else 1

    return SaveCase("batch list", JOURNAL_NAME, save, found)


def sabotaged(inputs: Inputs, how: str) -> SaveCase:
    """A save as libraries do it ("in place"), or two files replaced one after the other ("pair"): must be found out."""
    from medviewer.io import atomic, label_sidecar, write_nifti

    case = next(case for case in all_cases(inputs) if case.name == "nii")

    def in_place(folder: Path, variant: int) -> object:
        with open(folder / "m.nii", "wb") as file:
            for part in range(4):
                file.write(bytes([variant]) * (part + 1) * 10_000)
                file.flush()
                atomic.sync_file(folder / "m.nii")
        return None

    def pair(folder: Path, variant: int) -> object:
        made, path = segments(inputs.nifti, variant), folder / "m.nii"
        with atomic.atomic_write(path) as temporary:
            write_nifti.write(temporary, inputs.nifti, made, silent())
        document = label_sidecar.make_document(path, inputs.nifti, made, {}, [], "")
        atomic.write_text_atomic(folder / "m.json", json.dumps({**document, "sha256": None}))
        return None

    def found(folder: Path) -> int:
        data = (folder / "m.nii").read_bytes()
        return which(lambda v: data == bytes([v]) * 100_000)

    return SaveCase(how, "m.nii", pair, case.found) if how == "pair" else SaveCase(how, "m.nii", in_place, found)
