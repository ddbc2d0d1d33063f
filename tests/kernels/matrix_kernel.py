"""A kernel whose Gram matrix is a given one: inputs are the numbers of its rows."""

import numpy as np


class MatrixKernel:
    """Looks values up in a matrix, and counts the tiles asked for."""

    def __init__(self, matrix):
        self.matrix = np.asarray(matrix)
        self.asked = []

    def __call__(self, x1, x2=None):
        rows = np.asarray(x1)[:, 0].astype(int)
        columns = rows if x2 is None else np.asarray(x2)[:, 0].astype(int)
        self.asked.append((rows[0], columns[0]))
        return self.matrix[np.ix_(rows, columns)]


def numbered(matrix):
    """The inputs whose Gram matrix is ``matrix``."""
    return np.arange(len(matrix), dtype=matrix.dtype)[:, None]
