"""How many threads FAISS may use.

FAISS hands every search to OpenMP. A server runs one process per core, so the threads of an OpenMP team would only
fight for that core: on a busy machine a search with two threads takes several times as long as with one. The call
``omp_set_num_threads`` binds only the thread that makes it, and a server searches from many; the environment binds
all of them, but it is read once, while the shared library loads.
"""

from __future__ import annotations

import os

__all__ = ["load_faiss"]

THREADS_VARIABLE = "OMP_NUM_THREADS"


def load_faiss() -> None:
    """Load FAISS with one OpenMP thread, or with as many as the operator has set in OMP_NUM_THREADS.

    The variable is set only while FAISS loads, so other libraries (PyTorch in training) keep all cores.
    """
    chosen_by_operator = THREADS_VARIABLE in os.environ
    os.environ.setdefault(THREADS_VARIABLE, "1")
    try:
        import faiss  # noqa: F401, PLC0415 - loaded for its effect, at this moment
    finally:
        if not chosen_by_operator:
            del os.environ[THREADS_VARIABLE]
