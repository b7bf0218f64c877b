"""Takes out of a message what could name a patient: everything but known technical words and small numbers.

A list of what must go can never be complete (a name is any word), so there is a list of what may stay.
"""

from __future__ import annotations

import builtins
import re

_LONGEST, _MOST_WORDS = 300, 400
_NUMBER = re.compile(r"[-+]?\d{1,3}")
_EDGES = "()[]{}<>,;:.!?=…"

# Lower-case words of error messages of Python, numpy, torch, pydicom and this program. No word that is also a common
# family or given name, and none that says something about a person.
_WORDS = frozenset(
    """
    a about absent accept access across active actual add after again all allocate allocated allocation already also
    always an and any appear are argument arguments array arrays as assign assignment at attempt attempted attribute
    axes axis back bad base be because been before between binary bit bits block boolean both bound bounds broadcast
    buffer but by bytes cache call callable called can cancelled cannot channel channels character check checksum
    class close closed codec column columns command compatible complete component compressed connection contain
    contains contents contiguous conversion convert converted copy corrupt could count create created cuda current
    damaged data dataset decode decoded decoder decompress default deleted delimiter depth descriptor device dict
    dictionary did different digits dimension dimensional dimensions directory disk divided division do does dtype
    duplicate during each edge either element elements empty encode encoded encoding end ended ends entry equal error
    exceed exceeded exceeds exhausted exist exists exit expected explicit extension failed failure false fault field
    file files filter fit flag float folder for format forward found fragment frame frames free from full function
    gave geometry get given gpu group had handle has have header height hexadecimal if illegal image implemented
    implicit import in incomplete inconsistent incorrect index indices infinite initialised initialized inner input
    inside instance int integer integers internal interpreter into invalid is item items iterable it its journal json
    key keyword kind last layer least length less library like limit line list load loaded local lock
    lost main malformed many mask match matrix maximum mean memory message metadata minimum mismatch missing mode
    model module more most multiple must name nan need needs negative new next no non none nonetype not nothing number
    object objects of off offset on once one only open opened operand operands operation operator option or order out
    outer output outside overflow overlap own padding parse parsed part path permission permitted pixel pixels plugin
    plugins pointer position positive possible preview previous process program property protocol raised range rank
    ratio raw read reading real reason recognised recorded reduce refused remaining removed required reserved
    resolution resource result returned row rows run running same sample samples scalar segment self sequence set
    shape shapes shared should shut signal size sizes slice slices some space spacing specified stack start started
    state status step still stop stopped stored stream string subscriptable support supported switched syntax system
    tag tags takes target temporary tensor tensors than that the their then there this thread threads time timeout to
    too toolkit transfer trial tried true truncated tuple two type types unable undefined unexpected unhashable
    unknown unless unpack unsupported until up use used using valid value values variable version volume
    voxel voxels wait was well were when which while width will window with within without work worker write writing
    written wrong zero
    """.split()  # noqa: SIM905 - a list of quoted words would be eight times as long
)

_KINDS = frozenset(
    name for name, kind in vars(builtins).items() if isinstance(kind, type) and issubclass(kind, BaseException)
)


def scrub(text: str) -> str:
    """The message with every word that is not known replaced by "…"; at most 300 characters."""
    kept: list[str] = []
    for word in text[: _LONGEST * 10].split()[:_MOST_WORDS]:
        shown = word if _is_harmless(word) else "…"
        if shown != "…" or kept[-1:] != ["…"]:
            kept.append(shown)
    return " ".join(kept)[:_LONGEST]


def _is_harmless(word: str) -> bool:
    bare = word.strip(_EDGES)
    return not bare or bare in _WORDS or bare in _KINDS or _NUMBER.fullmatch(bare) is not None
