"""Answers the prompt "bone" on CT with every voxel above a threshold; an example of a text-segmentation plugin."""

from __future__ import annotations

import numpy as np

from medviewer.api import Answer, Prediction, Progress, Provenance, SegmentRequest, Volume

THRESHOLD_HU = 200


class BoneByThreshold:
    def run(self, volume: Volume, request: SegmentRequest, progress: Progress) -> Prediction:
        nothing = np.zeros(volume.shape, bool)
        if request.prompt.strip().lower() != "bone":
            return Prediction(request.prompt, Answer.NOT_TRAINED, nothing, reason="This plugin knows bone only.")
        if volume.units != "HU":
            return Prediction(request.prompt, Answer.NOT_ASSESSABLE, nothing, reason="Needs a CT in HU.")
        progress.report(0.5, "Thresholding")
        mask = volume.array > THRESHOLD_HU
        return Prediction(
            request.prompt,
            Answer.FOUND if mask.any() else Answer.NOT_FOUND,
            mask,
            title="Bone",
            provenance=Provenance(model_id="threshold", parameters={"threshold": THRESHOLD_HU}),
        )
