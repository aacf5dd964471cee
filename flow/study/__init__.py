"""The trials of a task, and the Optuna study that is made from them.

`trials` is what a search knows of its trials; `place`, where a study is kept; `storage`, how that is opened; `mark`,
whether it is as it was left; `study`, the study itself; `claims`, who of several workers trains a batch.
"""

from flow.study.claims import claim_batch
from flow.study.mark import Mark
from flow.study.place import Place, storage_of
from flow.study.storage import check
from flow.study.study import OtherStudy, Study
from flow.study.trials import State, Trial, excess, front, inside, pasts

__all__ = [
    "Mark",
    "OtherStudy",
    "Place",
    "State",
    "Study",
    "Trial",
    "check",
    "claim_batch",
    "excess",
    "front",
    "inside",
    "pasts",
    "storage_of",
]
