"""FAISS indexes behind the Searcher port, and the exact oracle they are measured against.

Importing the package loads FAISS with one OpenMP thread; ``openmp.py`` says why.
"""

from unbraid_index.openmp import load_faiss

load_faiss()
