"""Says in one line what the CUDA runtime at the given path sees."""

import ctypes
import sys

runtime = ctypes.CDLL(sys.argv[1])
runtime.cudaGetErrorString.restype = ctypes.c_char_p


def ask(function):
    number = ctypes.c_int(-1)
    return getattr(runtime, function)(ctypes.byref(number)), number.value


def version(number):
    return f"{number // 1000}.{number % 1000 // 10}"


failure, devices = ask("cudaGetDeviceCount")
text = f"CUDA runtime {version(ask('cudaRuntimeGetVersion')[1])}, driver up to {version(ask('cudaDriverGetVersion')[1])}"
print(f"{text}: {runtime.cudaGetErrorString(failure).decode() if failure else f'{devices} device(s)'}")
