"""Matrices of single cells -> sums by unit and cell type.

:mod:`matrix` reads AnnData and MuData files piece by piece, :mod:`summing` adds the pieces up, :mod:`assemble` finds
whose cells they are.
"""

from cohortium.sources.cells.assemble import CellsReader
from cohortium.sources.cells.matrix import measures

__all__ = ["CellsReader", "measures"]
