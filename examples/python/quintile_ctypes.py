"""A matrix of a GGUF file times a vector, by ctypes and numpy: quintile_ctypes.py LIBRARY FILE TENSOR."""

import ctypes as C
import sys

import numpy as np


class Tensor(C.Structure):
    _fields_ = [("format", C.c_uint32), ("rows", C.c_size_t), ("k", C.c_size_t), ("data", C.c_void_p), ("bytes", C.c_size_t)]


def check(status):
    if status:
        raise RuntimeError(q.quintile_status_text(status).decode())


q = C.CDLL(sys.argv[1])
q.quintile_status_text.restype = C.c_char_p
model, tensor, error = C.c_void_p(), Tensor(), C.create_string_buffer(512)
if q.quintile_model_open(sys.argv[2].encode(), None, C.byref(model), error, C.c_size_t(512)):
    sys.exit(error.value.decode())
check(q.quintile_model_tensor(model, sys.argv[3].encode(), C.byref(tensor)))

# Rows as they lie in the file, without a copy.
rows, n = (C.c_uint8 * tensor.bytes).from_address(tensor.data), C.c_size_t(tensor.k)
row_bytes = tensor.bytes // tensor.rows
x = np.random.default_rng(1).standard_normal(tensor.k, dtype=np.float32)
w, y = np.empty((tensor.rows, tensor.k), np.float32), np.empty(tensor.rows, np.float32)
for r in range(tensor.rows):
    row = (tensor.format, C.byref(rows, r * row_bytes), C.c_size_t(row_bytes))
    check(q.quintile_dequantize(*row, w[r].ctypes.data_as(C.c_void_p), n))
    check(q.quintile_dot_exact(*row, x.ctypes.data_as(C.c_void_p), n, C.c_void_p(y.ctypes.data + 4 * r)))
q.quintile_model_free(model)

wrong = np.abs(y - w.astype(np.float64) @ x).max()
print(f"{tensor.rows} x {tensor.k}: largest error beside float64: {wrong:.2e}")
sys.exit(not wrong < 1e-4)
