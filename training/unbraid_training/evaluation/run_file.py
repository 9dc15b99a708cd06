"""Rankings and targets as TREC files, so that any other tool can score them.

    run    user Q0 item rank score tag
    qrels  user 0 item 1

The columns are separated by blanks, so white space in an id is percent-encoded (UTF-8, as in URLs), and so is ``%``
itself: ids stay distinct and every other id stands as it is. TREC tools order by score and forget the rank column, and
some keep scores in 32 bits; the score column therefore counts down from the length of the ranking to 1, which leaves
our order no room for ties.
"""

from __future__ import annotations

import re
from urllib.parse import quote

from unbraid_core.types import IntArray
from unbraid_training.evaluation.cases import Cases

__all__ = ["qrels_text", "run_text"]

UNSAFE = re.compile(r"[\s%]")


def run_text(cases: Cases, row_HR: IntArray, tag: str) -> str:
    """The rankings of all users, best first; a user without any has no line.

    Args:
        cases: the users, in the order of the rankings.
        row_HR: int64 [H, R], -1 after the end of a short ranking.
        tag: name of the system, a single word.
    """
    lines = []
    for position, row_R in enumerate(row_HR):
        user, ranked_R = _word(cases.user_id(position)), row_R[row_R >= 0]
        for rank, row in enumerate(ranked_R, start=1):
            item = _word(cases.catalogue.item_ids[row])
            lines.append(f"{user} Q0 {item} {rank} {len(ranked_R) - rank + 1} {tag}\n")
    return "".join(lines)


def qrels_text(cases: Cases) -> str:
    """The targets of all users, each with relevance 1."""
    return "".join(
        f"{_word(cases.user_id(position))} 0 {_word(cases.catalogue.item_ids[row])} 1\n"
        for position, target_T in enumerate(cases.targets)
        for row in target_T
    )


def _word(text: str) -> str:
    return UNSAFE.sub(lambda found: quote(found[0], safe=""), text)
