"""A label map and its sidecar agree at every moment: while one is replaced, after a kill, after a foreign edit."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel
import numpy as np
import pytest

from medviewer.core.errors import InputRefused, OutputNotWritten
from medviewer.core.segmentation import Segment
from medviewer.core.volume import Source, Volume
from medviewer.io import label_sidecar
from medviewer.services import save_data


@pytest.fixture
def scan() -> Volume:
    return Volume(np.zeros((6, 7, 8), np.int16, order="F"), np.eye(4), "CT", source=Source("nifti", Path("x.nii")))


def save(folder: Path, scan: Volume, names: tuple[str, ...]) -> bytes:
    """Save one voxel more for each name; the bytes of the label map."""
    made = []
    for number, name in enumerate(names):
        mask = np.zeros(scan.shape, np.bool_)
        mask[number, : len(name) % 7 + 1, 0] = True
        made.append(Segment(name, mask))
    save_data.save_segments(folder / "m.nii", scan, made)
    return (folder / "m.nii").read_bytes()


def named(folder: Path) -> list[str]:
    return [line.name for line in label_sidecar.read_labels(folder / "m.nii")]


def test_the_sidecar_of_a_killed_save_describes_the_map_that_lies_there(tmp_path: Path, scan: Volume) -> None:
    old = save(tmp_path, scan, ("Liver", "Spleen"))
    new = save(tmp_path, scan, ("Aorta",))
    document = json.loads((tmp_path / "m.json").read_text())
    (tmp_path / "m.nii").write_bytes(old)
    save(tmp_path, scan, ("Liver", "Spleen"))
    with label_sidecar.announced(tmp_path / "m.nii", document):
        assert named(tmp_path) == ["Liver", "Spleen"]
        (tmp_path / "m.nii").write_bytes(new)
        assert named(tmp_path) == ["Aorta"]
        (tmp_path / "m.nii").write_bytes(b"something else")
        assert named(tmp_path) == []
    (tmp_path / "m.nii").write_bytes(old)
    # killed before the map was replaced, then saved again and killed again
    with label_sidecar.announced(tmp_path / "m.nii", document | {"sha256": "0" * 64}):
        assert named(tmp_path) == ["Liver", "Spleen"]


def test_a_failed_save_puts_the_old_sidecar_back(tmp_path: Path, scan: Volume, monkeypatch: pytest.MonkeyPatch) -> None:
    from medviewer.io import atomic

    save(tmp_path, scan, ("Liver", "Spleen"))
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    replace = atomic.os.replace

    def refuse(source: Path, target: Path) -> None:
        if Path(target).name == "m.nii":
            raise OSError(30, "Read-only file system")
        replace(source, target)

    monkeypatch.setattr(atomic.os, "replace", refuse)
    with pytest.raises(OutputNotWritten, match=r"m\.nii was not written"):
        save(tmp_path, scan, ("Aorta",))
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_map_that_another_program_changed_keeps_its_names_and_says_so(tmp_path: Path, scan: Volume) -> None:
    save(tmp_path, scan, ("Liver", "Spleen"))
    first = save_data.read_mask(tmp_path / "m.nii", scan)
    assert first[0].provenance.edits == ("read from a file",)
    image = nibabel.load(tmp_path / "m.nii")
    labels = np.asanyarray(image.dataobj).copy()
    labels[5, 5, 5] = 2
    nibabel.save(nibabel.Nifti1Image(labels, image.affine), tmp_path / "m.nii")
    liver, spleen = save_data.read_mask(tmp_path / "m.nii", scan)
    assert (liver.name, spleen.name) == ("Liver", "Spleen")
    assert spleen.mask[5, 5, 5]
    assert "changed by another program after its labels were named" in spleen.provenance.edits


@pytest.mark.parametrize("bad", [np.nan, np.inf, 0.4, -3.0, 1e30])
def test_values_that_are_no_labels_are_refused(tmp_path: Path, scan: Volume, bad: float) -> None:
    labels = np.zeros(scan.shape, np.float64)
    labels[1, 1, 1], labels[2, 2, 2] = 1, bad
    nibabel.save(nibabel.Nifti1Image(labels, np.diag([-1.0, -1, 1, 1])), tmp_path / "f.nii")
    with pytest.raises(InputRefused, match=r"f\.nii"):
        save_data.read_mask(tmp_path / "f.nii", scan)


def test_labels_nearly_whole_and_above_16_bits_are_read(tmp_path: Path, scan: Volume) -> None:
    labels = np.zeros(scan.shape, np.float64)
    labels[1, 1, 1], labels[2, 2, 2] = 0.9999, 70_000
    nibabel.save(nibabel.Nifti1Image(labels, np.diag([-1.0, -1, 1, 1])), tmp_path / "f.nii")
    one, large = save_data.read_mask(tmp_path / "f.nii", scan)
    assert (int(one.mask.sum()), int(large.mask.sum()), large.name) == (1, 1, "f 70000")
