"""The key images of a report in its FHIR bundle: a Media (R4; the same in R4B) with the picture itself for each."""

from __future__ import annotations

import base64
import hashlib
import io

from medviewer.core.report.document import Finding, KeyImage
from medviewer.io.report_fhir_context import Context
from medviewer.io.report_fhir_values import Resource, filled, oid_of, reference, text
from medviewer.io.report_layout import caption_text, checked_picture

PNG = "image/png"


def media(context: Context) -> list[Resource]:
    """One for each key image, in their order. Raises OutputNotWritten for a key image that is no PNG picture."""
    return [_media(context, image, count) for count, image in enumerate(context.report.key_images, 1)]


def _media(context: Context, image: KeyImage, count: int) -> Resource:
    """The identifier is that of the DICOM image which the view shows (context of the picture: R4 Media.identifier)."""
    from PIL import Image

    data = checked_picture(image, count)
    with Image.open(io.BytesIO(data), formats=("PNG",)) as picture:
        width, height = picture.size
    shown = oid_of(image.instance_uid)
    known = {"type": {"text": "DICOM image shown"}, "system": "urn:dicom:uid", "value": shown}
    title = text(caption_text(image, count, context.words))
    return filled(
        resourceType="Media",
        id=media_id(context, count),
        meta=context.meta,
        identifier=[known] if shown else [],
        status="completed",
        subject=context.subject,
        height=height,
        width=width,
        content=attachment(PNG, data, title),
    )


def media_id(context: Context, count: int) -> str:
    """The id of the Media of a key image, counted from 1."""
    return context.id("key image", str(count))


def links(context: Context) -> list[Resource]:
    """What the DiagnosticReport says of its key images: caption and reference."""
    told = enumerate(context.report.key_images, 1)
    return [
        filled(comment=text(caption_text(image, count, context.words)), link=_reference(context, count))
        for count, image in told
    ]


def references_of(context: Context, finding: Finding) -> list[Resource]:
    """References to the key images of a sentence."""
    told = enumerate(context.report.key_images, 1)
    return [_reference(context, count) for count, image in told if finding.id in image.finding_ids]


def _reference(context: Context, count: int) -> Resource:
    return reference("Media", media_id(context, count))


def attachment(kind: str, data: bytes, title: str) -> Resource:
    """Bytes in an Attachment, with the hash that FHIR asks for (SHA-1)."""
    digest = hashlib.sha1(data, usedforsecurity=False).digest()
    return filled(
        contentType=kind,
        data=base64.b64encode(data).decode("ascii"),
        size=len(data),
        hash=base64.b64encode(digest).decode("ascii"),
        title=title,
    )
