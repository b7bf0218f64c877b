"""A report as the text that a session keeps with its scan: every step on it, and the answers that it was drafted from.

Who the patient is comes from the scan when the session is opened; only a signature holds the line it was given for.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace

import numpy as np

from medviewer.core import prediction_record
from medviewer.core.prediction import Prediction
from medviewer.core.report.audit import Reviewed
from medviewer.core.report.document import Identity
from medviewer.core.report.drafting import identity_of
from medviewer.core.volume import Volume

_NAME = "The report of this session"
_EMPTY = np.zeros((1, 1, 1), bool)  # a record holds a mask


@dataclass(frozen=True, eq=False)
class KeptReport:
    """`answers` hold no masks. `template`: as it was asked for, empty for the scan's own. `added`: ids of segments that
    a draft added and nobody accepted one by one."""

    reviewed: Reviewed
    answers: tuple[Prediction, ...] = ()
    template: str = ""
    sides_confirmed: bool = False
    added: frozenset[str] = frozenset()


def kept_text(kept: KeptReport) -> str:
    """The text. Raises OutputNotWritten for what JSON cannot hold."""
    from medviewer.io import report_json

    values = {
        "report": report_json.render(_of(kept.reviewed, Identity())).decode("utf-8"),
        "answers": [prediction_record.to_record(replace(a, mask=_EMPTY))[0] for a in kept.answers],
        "template": kept.template, "sides_confirmed": kept.sides_confirmed, "added": sorted(kept.added),
    }  # fmt: skip
    return json.dumps(values, ensure_ascii=False)


def kept_report(text: str, volume: Volume) -> KeptReport:
    """The report again, about the patient of this scan. Raises InputRefused for a damaged text."""
    from medviewer.io import report_json

    try:
        values = json.loads(text)
        answers = tuple(prediction_record.from_record(header, b"") for header in values["answers"])
        template, added = str(values["template"]), frozenset(str(id_) for id_ in values["added"])
        report, confirmed = str(values["report"]), values["sides_confirmed"] is True
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise report_json.damaged(_NAME) from error
    reviewed = report_json.parse(report.encode("utf-8"), _NAME)
    return KeptReport(_of(reviewed, identity_of(volume)), answers, template, confirmed, added)


def _of(reviewed: Reviewed, identity: Identity) -> Reviewed:
    """The same report, its versions and its trail, about another identity."""
    earlier = tuple(report.with_changes(identity=identity) for report in reviewed.earlier)
    return Reviewed(reviewed.report.with_changes(identity=identity), reviewed.trail, earlier)
