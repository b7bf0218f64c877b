"""Key images of a report that is made without a window: which masks, which views, what the caption says."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "core" / "report"))
from report_kit import draft, measured, scan, segment, words_of

from medviewer.cli.report_pictures import with_key_images
from medviewer.core.volume import Source, Volume

SOURCE = Source("dicom", Path("scan"), instance_numbers=tuple(range(1, 21)),
                instance_uids=tuple(f"1.2.{n}" for n in range(20)))  # fmt: skip


def test_findings_come_first_and_the_caption_names_mask_place_and_image() -> None:
    """clinical.md 2 and 11: letters and unsigned mm; series and image as the PACS has them."""
    liver, tumor = segment("liver"), segment("liver_tumor", at=10)
    volume = scan(source=SOURCE)
    numbers = (measured(liver, "volume", 1.3, "ml"), measured(tumor, "volume", 1.3, "ml"))
    report = draft(volume=volume, segments=(liver, tumor), measurements=numbers, answers=())
    pictures = with_key_images(report, volume, (liver, tumor), words_of("en")).key_images
    # 20 slices of 5 mm: a coronal view would be a stripe
    assert [image.caption.split(",")[0] for image in pictures] == ["Liver tumor (mask of the model)", "Liver"]
    assert pictures[0].caption.endswith("axial, L 22 P 22 S 55 mm, Series 3, image 12")
    assert pictures[0].instance_uid == "1.2.11"
    ids = {f.id for f in report.findings if f.term_ids == ("liver_tumor",)}
    assert set(pictures[0].finding_ids) == ids
    with Image.open(io.BytesIO(pictures[0].png)) as picture:
        assert picture.size == (640, 640)
        assert len(np.unique(np.asarray(picture))) > 1


def test_a_tall_scan_is_shown_from_the_front_too() -> None:
    volume = scan().with_changes(affine=np.diag([2.0, 2.0, 8.0, 1.0]), spacing_mm=(2.0, 2.0, 8.0))
    report = draft(volume=volume, segments=(segment("liver"),), measurements=(), answers=())
    captions = [i.caption for i in with_key_images(report, volume, (segment("liver"),), words_of("de")).key_images]
    assert [caption.split(", ")[1] for caption in captions] == ["axial", "koronar"]


def test_a_picture_is_shown_once_and_without_masks_there_is_none() -> None:
    image = Volume(np.zeros((40, 30, 1), np.uint8), None, "DX", kind="image")
    masks = []
    for side, at in (("left", 4), ("right", 20)):
        mask = np.zeros(image.shape, bool)
        mask[at : at + 9, 5:20] = True
        masks.append(segment("lung", side).changed(mask=mask))
    report = draft(template="chest_xray", volume=image, segments=tuple(masks), measurements=(), answers=())
    assert len(with_key_images(report, image, masks, words_of("en")).key_images) == 1
    empty = draft(volume=image, segments=(), measurements=(), answers=())
    assert with_key_images(empty, image, (), words_of("en")).key_images == ()
