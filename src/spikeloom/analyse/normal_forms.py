"""Coefficients of normal forms: what happens at a bifurcation beyond the linear terms."""

from __future__ import annotations

import numpy as np

from ..kernels.field import VectorField

_STEP = 2e-3  # of the differences, in the states' scales


def second_derivative(field: VectorField, y: np.ndarray, u: np.ndarray, v: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """``B(u, v)``, the second derivative of the field, as a fourth-order difference of the traced Jacobian."""
    if np.iscomplexobj(u):
        real, imaginary = np.real(u), np.imag(u)
        return second_derivative(field, y, real, v, scale) + 1j * second_derivative(field, y, imaginary, v, scale)
    size = np.max(abs(u) / scale)
    if size == 0.0:
        return np.zeros(len(y), dtype=complex)
    h = _STEP / size
    near, far = _difference(field, y, u, h), _difference(field, y, u, 2.0 * h)
    return ((8.0 * near - far) / (12.0 * h)) @ v


def _difference(field: VectorField, y: np.ndarray, u: np.ndarray, h: float) -> np.ndarray:
    return field.jacobian(y + h * u) - field.jacobian(y - h * u)


def third_derivative(field: VectorField, y: np.ndarray, u: np.ndarray, v: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """``C(u, u, v)`` for real ``u`` and ``v``, likewise."""
    size = np.max(abs(u) / scale)
    if size == 0.0:
        return np.zeros(len(y))
    h = 5.0 * _STEP / size
    middle = field.jacobian(y)

    def bend(step: float) -> np.ndarray:
        return field.jacobian(y + step * u) - 2.0 * middle + field.jacobian(y - step * u)

    return ((16.0 * bend(h) - bend(2.0 * h)) / (12.0 * h * h)) @ v


def null_vectors(matrix: np.ndarray, value: complex) -> tuple[np.ndarray, np.ndarray]:
    """Right and left eigenvectors ``q``, ``p`` to the eigenvalue closest to ``value``, with ``conj(p) @ q = 1``."""
    values, right = np.linalg.eig(matrix)
    q = right[:, np.argmin(abs(values - value))]
    values, left = np.linalg.eig(matrix.conj().T)
    p = left[:, np.argmin(abs(values - np.conj(value)))]
    return q, p / np.conj(p.conj() @ q)


def first_lyapunov_coefficient(
    field: VectorField, y: np.ndarray, omega: float, scale: np.ndarray
) -> tuple[float, float]:
    """The first Lyapunov coefficient at a Hopf point (Kuznetsov 2004, eq. 5.62), and the size of its rounding noise.

    Only the sign has a meaning that does not depend on units: > 0 subcritical, < 0 supercritical.
    """
    a = field.jacobian(y)
    q, p = null_vectors(a, 1j * omega)
    q = q / np.linalg.norm(q / scale)
    p = p / np.conj(p.conj() @ q)
    real, imaginary, conj = q.real, q.imag, q.conj()

    def b(u: np.ndarray, v: np.ndarray) -> np.ndarray:
        return second_derivative(field, y, u, v, scale)

    def c(u: np.ndarray, v: np.ndarray) -> np.ndarray:
        return third_derivative(field, y, u, v, scale)

    cubic = c(real, real) + c(imaginary, real) + 1j * (c(real, imaginary) + c(imaginary, imaginary))
    shift = b(q, np.linalg.solve(a, b(q, conj)))
    double = b(conj, np.linalg.solve(2j * omega * np.eye(len(y)) - a, b(q, q)))
    parts = [p.conj() @ cubic, -2.0 * (p.conj() @ shift), p.conj() @ double]
    total = float(np.real(sum(parts))) / (2.0 * omega)
    return total, 1e-6 * float(sum(map(abs, parts))) / (2.0 * omega)


def fold_coefficient(field: VectorField, y: np.ndarray, scale: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
    """``a`` of a fold's normal form ``dx/dt = a x²`` along ``q``, with ``q`` and ``p`` (Kuznetsov 2004, eq. 5.30)."""
    q, p = null_vectors(field.jacobian(y), 0.0)
    q, p = np.real(q), np.real(p)
    q = q / np.linalg.norm(q / scale)
    p = p / (p @ q)
    bent = np.real(second_derivative(field, y, q, q, scale))
    return 0.5 * float(p @ bent), q, p


__all__ = ["first_lyapunov_coefficient", "fold_coefficient", "null_vectors"]
