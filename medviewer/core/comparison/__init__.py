"""Two studies of one person: which mask is which, what changed beyond the measurement error, and RECIST 1.1."""

from medviewer.core.comparison.changes import Change
from medviewer.core.comparison.compare import Comparison, compare
from medviewer.core.comparison.identity import PriorCheck, check_prior
from medviewer.core.comparison.matching import Match, match_segments
from medviewer.core.comparison.recist import RecistInput, RecistResult, TargetLesion, TimePoint, recist
from medviewer.core.comparison.rules import ComparisonRules, comparison_rules
from medviewer.core.comparison.sentences import Wording
from medviewer.core.comparison.sizes import Sizes, sizes_of
from medviewer.core.comparison.study import PriorStudy, Registration, StudyFacts, facts_of

__all__ = [
    "Change",
    "Comparison",
    "ComparisonRules",
    "Match",
    "PriorCheck",
    "PriorStudy",
    "RecistInput",
    "RecistResult",
    "Registration",
    "Sizes",
    "StudyFacts",
    "TargetLesion",
    "TimePoint",
    "Wording",
    "check_prior",
    "compare",
    "comparison_rules",
    "facts_of",
    "match_segments",
    "recist",
    "sizes_of",
]
