"""Scans and masks whose DICOM SEG is judged by tools of others: one function per case, all made here."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from dicom_factory import AXIAL, CORONAL, SAGITTAL, Series, enhanced, oblique
from dicom_factory import save as save_dicom
from files_oracle import oblique as oblique_affine
from files_oracle import volume as volume_in_memory
from numpy.typing import NDArray
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.tag import Tag
from pydicom.uid import UID, ExplicitVRLittleEndian, MRImageStorage, generate_uid

from medviewer.core.provenance import Provenance
from medviewer.core.segmentation import Segment
from medviewer.core.volume import Volume
from medviewer.services.open_data import load, open_volume, scan_path
from medviewer.services.save_data import save_volume_nifti

TERMS = ("liver", "kidney", "spleen", "aorta", "pancreas")
_DX, _US = "1.2.840.10008.5.1.4.1.1.1.1", "1.2.840.10008.5.1.4.1.1.6.1"


@dataclass(frozen=True)
class Case:
    """`scan` makes the files in an empty folder and opens them; `masks` draws on the scan."""

    name: str
    scan: Callable[[Path], Volume]
    masks: Callable[[Volume], list[Segment]] = field(default=lambda scan: three(scan))
    flat: bool = False  # an image without a place in the patient: what needs one does not apply
    resampled: bool = False  # the grid is not that of the files: the SEG refers to a written copy


def three(scan: Volume) -> list[Segment]:
    """A paired organ found by the model, one corrected by hand, one drawn by hand; no two overlap."""
    automatic = Provenance("AUTOMATIC", "text-sam-s", "1.0.0", "ab" * 32, "left kidney", {"threshold": 0.5}, "0.1.0")
    kinds = (automatic, automatic.edited("brush"), Provenance("MANUAL"))
    boxes = blocks(scan.shape, 3)
    return [
        Segment("Left kidney", boxes[0], (200, 30, 40), term_id="kidney", side="left", provenance=kinds[0]),
        Segment("Milz (müde)", boxes[1], (10, 220, 90), term_id="spleen", provenance=kinds[1]),
        Segment("Lesion", boxes[2], (1, 2, 250), provenance=kinds[2], cut_edges=("upper",)),
    ]


def blocks(shape: tuple[int, int, int], count: int) -> list[NDArray[np.bool_]]:
    """Lopsided masks along i, none of them symmetric, that never overlap; the last touches the far corner."""
    masks = []
    width = shape[0] / count
    for n in range(count):
        mask = np.zeros(shape, np.bool_)
        mask[int(n * width) : int((n + 1) * width), 1 + n % 3 : shape[1] - n % 2, max(0, n % 3 - 1) :] = True
        mask[int(n * width), 1 + n % 3, -1] = False
        masks.append(mask)
    masks[-1][-1, -1, -1] = True
    return masks


def overlapping(scan: Volume) -> list[Segment]:
    """Two that share voxels, one inside another, and an empty one between them."""
    first, second = np.zeros(scan.shape, np.bool_), np.zeros(scan.shape, np.bool_)
    first[2:12, 3:15, 1:8] = True
    second[8:20, 5:18, 4:11] = True
    inner = np.zeros(scan.shape, np.bool_)
    inner[4:6, 6:9, 3:5] = True
    return [
        Segment("Liver", first, term_id="liver"), Segment("Nothing", np.zeros(scan.shape, np.bool_), term_id="aorta"),
        Segment("Lesion", second), Segment("Cyst", inner),
    ]  # fmt: skip


def empty(scan: Volume) -> list[Segment]:
    """Only segments without a voxel."""
    return [Segment(name, np.zeros(scan.shape, np.bool_), term_id=name) for name in ("liver", "spleen")]


def many(count: int) -> Callable[[Volume], list[Segment]]:
    """`count` scattered segments, overlapping where they like."""

    def draw(scan: Volume) -> list[Segment]:
        rng = np.random.default_rng(count)
        return [
            Segment(f"Structure {n + 1}", rng.random(scan.shape) > 0.97, term_id=TERMS[n % len(TERMS)])
            for n in range(count)
        ]

    return draw


def limits(scan: Volume) -> list[Segment]:
    """Everything as long and as odd as it can get."""
    first, second, third = blocks(scan.shape, 3)
    odd = 'Niere „links“ \\ ^=&<b>日本語 \N{GREEK SMALL LETTER ALPHA}\n\r\t\x1b %s ' * 40
    provenance = Provenance(
        "AUTOMATIC", "modell-ü" * 30, "1.2.3-" * 30, "ab" * 32, odd[:2000],
        {"threshold": 1 / 3, "größe": "ß" * 300, "very" * 40: odd}, "0.1.0", edits=("brush, 5 mm",) * 400,
        tags=("below threshold",) * 90,
    )  # fmt: skip
    return [
        Segment("ü" * 200, first, provenance=provenance, term_id="kidney", side="right"),
        Segment(odd, second, provenance=provenance.edited(odd), cut_edges=("upper", "lower")),
        Segment("", third, provenance=Provenance("MANUAL", tags=(odd,)), id="not a number"),
    ]


# -- scans ------------------------------------------------------------------------------------


def ct(orientation: tuple[float, ...], **changes: Any) -> Callable[[Path], Volume]:
    """A CT series of single-frame files."""
    return lambda folder: _opened(Series(orientation=orientation, edit=_typical, **changes), folder)


def careless(shear: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> Callable[[Path], Volume]:
    """A CT whose patient and study are described in ways that DICOM does not allow."""

    def spoil(dataset: Any, k: int) -> None:
        _typical(dataset, k)
        dataset.PatientName, dataset.PatientID = "Group=A\u00e9=B=C", "P" * 64
        dataset.PatientSex, dataset.PatientAge, dataset.PatientBirthDate = "female", "50", "1970-01-01"
        dataset.StudyDate, dataset.StudyTime, dataset.AccessionNumber = "2020.01.02", "10:11", "A" * 30
        dataset[0x00101030] = RawDataElement(Tag(0x00101030), "DS", 4, b"72,5", 0, False, True)
        dataset.StudyID = "S" * 40
        dataset.PatientComments, dataset.StudyDescription = "x" * 12000, "S" * 100
        del dataset.Manufacturer, dataset.ReferringPhysicianName, dataset.SeriesNumber
        dataset.PixelSpacing = ["2.000000000000000000", "1.500000000000000000"]

    def make(folder: Path) -> Volume:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _opened(Series(edit=spoil, shear=shear), folder)

    return make


def unicode_ct(folder: Path) -> Volume:
    """A CT of a patient whose name is in UTF-8."""

    def edit(dataset: Any, k: int) -> None:
        _typical(dataset, k)
        dataset.SpecificCharacterSet, dataset.PatientName = "ISO_IR 192", "Yamada^Tarou=山田^太郎"

    return _opened(Series(edit=edit), folder)


def mr(folder: Path) -> Volume:
    """An MR series."""

    def as_mr(dataset: Any, k: int) -> None:
        _typical(dataset, k)
        dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = MRImageStorage
        dataset.Modality, dataset.ImageType = "MR", ["ORIGINAL", "PRIMARY", "M"]
        dataset.ScanningSequence, dataset.SequenceVariant = "SE", "NONE"
        dataset.EchoTime, dataset.RepetitionTime, dataset.EchoTrainLength = 10, 500, 1
        dataset.ScanOptions, dataset.MRAcquisitionType = "", "2D"
        del dataset.RescaleType

    return _opened(Series(orientation=oblique(), edit=as_mr), folder)


def multi_frame(order: list[int]) -> Callable[[Path], Volume]:
    """One Enhanced CT whose frames are stored in this order."""

    def make(folder: Path) -> Volume:
        series = Series(slices=len(order))
        dataset = enhanced(series, order)
        _typical(dataset, 0)
        save_dicom(dataset, folder / "enhanced.dcm")
        return open_volume(folder)

    return make


def time_point(folder: Path) -> Volume:
    """The second time point of an Enhanced CT that holds two, slice by slice."""
    dataset = enhanced(Series(slices=5), [0, 1, 2, 3, 4, 4, 3, 2, 1, 0])
    _typical(dataset, 0)
    for n, group in enumerate(dataset.PerFrameFunctionalGroupsSequence):
        content = Dataset()
        content.TemporalPositionIndex = 1 + n // 5
        group.FrameContentSequence = [content]
    save_dicom(dataset, folder / "enhanced.dcm")
    return load(scan_path(folder).entries[1])


def from_nifti(folder: Path) -> Volume:
    """A NIfTI file of an oblique CT: the SEG gets a source series of its own."""
    save_volume_nifti(folder / "scan.nii.gz", volume_in_memory(oblique_affine(), (24, 20, 12)))
    return open_volume(folder / "scan.nii.gz", modality="CT")


def gap(folder: Path) -> Volume:
    """A CT of which two slices were lost."""
    for file in Series(edit=_typical).write(folder)[5:7]:
        file.unlink()
    return open_volume(folder)


def radiograph(folder: Path) -> Volume:
    """A digital X-ray image."""
    dataset = _flat_image(_DX, "DX", 16)
    dataset.PixelSpacing = dataset.ImagerPixelSpacing = [0.2, 0.2]
    dataset.PresentationIntentType, dataset.PatientOrientation = "FOR PRESENTATION", ["L", "F"]
    dataset.RescaleSlope, dataset.RescaleIntercept, dataset.RescaleType = 1, 0, "US"
    dataset.PixelIntensityRelationship, dataset.PixelIntensityRelationshipSign = "LOG", 1
    return _saved(dataset, folder)


def ultrasound(folder: Path) -> Volume:
    """A grey ultrasound image."""
    return _saved(_flat_image(_US, "US", 8), folder)


def _opened(series: Series, folder: Path) -> Volume:
    series.write(folder)
    return open_volume(folder)


def _typical(dataset: Any, k: int) -> None:
    """What a scanner would also write, so that the validators judge the SEG and not a bare source."""
    dataset.PatientName, dataset.PatientID = "Müller^Eva", "P-1"
    dataset.SpecificCharacterSet = "ISO_IR 100"
    dataset.StudyID, dataset.StudyTime, dataset.AccessionNumber = "S1", "101112", "A1"
    dataset.ReferringPhysicianName, dataset.PositionReferenceIndicator = "", ""
    dataset.PatientPosition, dataset.KVP, dataset.AcquisitionNumber = "HFS", 120, 1
    dataset.StudyDescription, dataset.PatientAge = "Abdomen", "050Y"


def _flat_image(sop_class: str, modality: str, bits: int) -> FileDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = UID(sop_class), generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SOPClassUID, dataset.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = generate_uid(), generate_uid()
    dataset.Modality, dataset.ImageType = modality, ["ORIGINAL", "PRIMARY"]
    dataset.PatientBirthDate, dataset.PatientSex, dataset.StudyDate = "19700101", "F", "20200102"
    dataset.SeriesNumber, dataset.InstanceNumber = 2, 1
    _typical(dataset, 0)
    dataset.Rows, dataset.Columns, dataset.SamplesPerPixel = 40, 30, 1
    dataset.PhotometricInterpretation, dataset.PixelRepresentation = "MONOCHROME2", 0
    dataset.BitsAllocated = dataset.BitsStored = bits
    dataset.HighBit = bits - 1
    pixels = np.random.default_rng(3).integers(0, 255, (40, 30)).astype(f"<u{bits // 8}")
    dataset.PixelData = pixels.tobytes()
    return dataset


def _saved(dataset: FileDataset, folder: Path) -> Volume:
    pydicom.dcmwrite(folder / "image.dcm", dataset, enforce_file_format=True)
    return open_volume(folder)


CASES = (
    Case("axial CT", ct(AXIAL)),
    Case("coronal CT", ct(CORONAL)),
    Case("sagittal CT", ct(SAGITTAL)),
    Case("oblique CT", ct(oblique())),
    Case("thin steps (1/3 mm)", ct(oblique(7.7, 33.3), spacing=(1 / 3, 2 / 3, 1 / 7))),
    Case("oblique MR", mr),
    Case("multi-frame CT", multi_frame(list(range(8)))),
    Case("multi-frame CT, odd order", multi_frame([3, 0, 2, 7, 1, 5, 4, 6])),
    Case("time point of a multi-frame CT", time_point),
    Case("one slice", ct(AXIAL, slices=1)),
    Case("two slices", ct(AXIAL, slices=2)),
    Case("NIfTI", from_nifti),
    Case("tilted gantry", ct(AXIAL, shear=(0.0, 0.8, 0.0)), resampled=True),
    Case("missing slices", gap, resampled=True),
    Case("empty segments", ct(AXIAL), empty),
    Case("overlapping segments", ct(oblique()), overlapping),
    Case("1 segment", ct(AXIAL), lambda scan: three(scan)[:1]),
    Case("5 segments", ct(AXIAL), many(5)),
    Case("60 segments", ct(AXIAL), many(60)),
    Case("100 segments", ct(AXIAL), many(100)),
    Case("longest names", unicode_ct, limits),
    Case("careless source", careless()),
    Case("careless source, tilted", careless((0.0, 0.8, 0.0)), resampled=True),
    Case("X-ray image", radiograph, flat=True),
    Case("ultrasound image", ultrasound, flat=True),
)
