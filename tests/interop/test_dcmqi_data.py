"""The data that dcmqi is tested with: its CT, binary, overlapping and label map segmentations, SR and value map."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from files_oracle import places
from numpy.typing import NDArray

from medviewer.core.errors import InputRefused
from medviewer.core.segmentation import Segment
from medviewer.core.volume import Volume
from medviewer.services import open_data
from medviewer.services.read_masks import read_segments
from medviewer.services.save_data import save_segments

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture
def dcmqi(shared_data: Path) -> Path:
    return shared_data / "dicom" / "dcmqi" / "segmentations"


def truth(*files: Path) -> dict[int, NDArray[np.float64]]:
    """Places (LPS mm) of the voxels of each label of NRRD files, by SimpleITK."""
    import SimpleITK as sitk

    found: dict[int, NDArray[np.float64]] = {}
    for file in files:
        image = sitk.ReadImage(str(file))
        affine = np.eye(4)
        affine[:3, :3] = np.array(image.GetDirection()).reshape(3, 3) * image.GetSpacing()
        affine[:3, 3] = image.GetOrigin()
        array = sitk.GetArrayFromImage(image).T
        found |= {int(v): places(array == v, affine) for v in np.unique(array) if v}
    return found


def at(segment: Segment, scan: Volume) -> NDArray[np.float64]:
    assert scan.affine is not None
    return places(segment.mask, scan.affine)


def test_the_liver_of_dcmqi(dcmqi: Path) -> None:
    scan = open_data.open_volume(dcmqi / "ct-3slice")
    (liver,) = read_segments(dcmqi / "liver.dcm", scan)
    assert liver.name == "Liver"
    np.testing.assert_allclose(at(liver, scan), truth(dcmqi / "liver_seg.nrrd")[1], atol=0.011)


def test_overlapping_segments_of_dcmqi(dcmqi: Path) -> None:
    scan = open_data.open_volume(dcmqi / "ct-3slice")
    found = read_segments(dcmqi / "partial_overlaps.dcm", scan)
    assert [s.name for s in found] == ["GREEN", "ORANGE", "PURPLE", "LIGHT_BLUE", "DARK_BLUE"]
    meant = truth(*(dcmqi / f"partial_overlaps-{n}.nrrd" for n in (1, 2, 3)))
    for number, segment in enumerate(found, start=1):
        np.testing.assert_allclose(at(segment, scan), meant[number], atol=0.011)


@pytest.mark.parametrize("name", ["noppv", "ppv5"])
@pytest.mark.parametrize("source", ["image", "multiframe"])
def test_sparse_label_maps_of_dcmqi(dcmqi: Path, name: str, source: str) -> None:
    """With and without a padding value; segment 0 or the padding value is the background, not a segment."""
    scan = open_data.open_volume(dcmqi / "24x38x3" / source)
    (liver,) = read_segments(dcmqi / f"sparse-labelmap-{name}.dcm", scan)
    assert liver.name == "Liver"
    meant = truth(dcmqi / f"sparse_labelmap_{name}_seg.nrrd")[1]
    assert liver.mask.any()
    np.testing.assert_allclose(at(liver, scan), meant, atol=0.011)


@pytest.mark.parametrize("size", ["23x38x3", "24x38x3"])
@pytest.mark.parametrize("source", ["image", "multiframe"])
def test_pixels_that_end_inside_a_byte(dcmqi: Path, size: str, source: str) -> None:
    scan = open_data.open_volume(dcmqi / size / source)
    (liver,) = read_segments(dcmqi / size / "seg" / "label.seg", scan)
    np.testing.assert_allclose(at(liver, scan), truth(dcmqi / size / "nrrd" / "label.nrrd")[1], atol=0.011)


def test_the_seg_of_a_pet_is_refused_on_a_ct_of_another_patient(dcmqi: Path) -> None:
    scan = open_data.open_volume(dcmqi / "ct-3slice")
    with pytest.raises(InputRefused, match="another patient"):
        read_segments(dcmqi.parent / "sr-example" / "seg.dcm", scan)
    (read,) = read_segments(dcmqi.parent / "sr-example" / "seg.dcm", _around(dcmqi.parent / "sr-example" / "seg.dcm"))
    assert read.name == "Neoplasm, Primary"
    assert int(read.mask.sum()) == int(pydicom.dcmread(dcmqi.parent / "sr-example" / "seg.dcm").pixel_array.sum())


def _around(path: Path) -> Volume:
    """An empty scan on the grid of a SEG."""
    from medviewer.io.dicom_seg_read import frames_of, open_seg, seg_grid

    grid = seg_grid(frames_of(open_seg(path)))
    assert grid is not None
    return Volume(np.zeros(grid[1], np.int16), grid[0], "PT")


@pytest.mark.parametrize("name", ["seg.dcm", "sr.dcm", "rwvm.dcm"])
def test_what_is_no_image_is_named_when_it_is_opened_as_a_scan(dcmqi: Path, name: str) -> None:
    path = dcmqi.parent / "sr-example" / name
    found = open_data.scan_path(path)
    assert found.entries == ()
    (refused,) = found.refused
    assert refused.reason.startswith(f"{name} is not an image: ")
    assert ("Open its scan" in refused.reason) == (name == "seg.dcm")
    with pytest.raises(InputRefused):
        open_data.open_volume(path)


@pytest.mark.parametrize("name", ["sr.dcm", "rwvm.dcm"])
def test_what_is_no_segmentation_is_named_when_it_is_opened_as_masks(dcmqi: Path, name: str) -> None:
    with pytest.raises(InputRefused, match="is no DICOM segmentation"):
        read_segments(dcmqi.parent / "sr-example" / name, open_data.open_volume(dcmqi / "ct-3slice"))


def test_what_dcmqi_says_of_a_segment_is_kept_in_a_further_export(dcmqi: Path, tmp_path: Path) -> None:
    scan = open_data.open_volume(dcmqi / "ct-3slice")
    first = read_segments(dcmqi / "liver.dcm", scan)
    save_segments(tmp_path / "again.dcm", scan, first)
    ours, theirs = (pydicom.dcmread(p).SegmentSequence[0] for p in (tmp_path / "again.dcm", dcmqi / "liver.dcm"))
    assert ours.SegmentAlgorithmType == theirs.SegmentAlgorithmType
    assert ours.get("SegmentAlgorithmName") == theirs.get("SegmentAlgorithmName")
    code = "SegmentedPropertyTypeCodeSequence"
    assert ours[code][0].CodeValue == first_code(theirs) == "10200004"


def first_code(item: Any) -> str:
    """SCT for the retired SRT code of the liver."""
    value = str(item.SegmentedPropertyTypeCodeSequence[0].CodeValue)
    return {"T-62000": "10200004"}.get(value, value)
