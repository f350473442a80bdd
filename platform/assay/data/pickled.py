"""A reader of pickled permutations of images that runs nothing.

The standard library's unpickler calls what a pickle names. Here the pickle's instructions are parsed by `pickletools`,
which executes none, and interpreted for lists, tuples, numbers, texts and numpy's arrays of them. Numpy's functions
are never called by name: each one allowed has a small equivalent here. Everything else is refused.
"""

from __future__ import annotations

import dataclasses
import pickletools
import re
import struct
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from assay.errors import UserError

MAX_BYTES = 16 * 2**20  # the 118,287 positions of COCO's training images, of 8 bytes each, take 1 MB
# Errors of pickletools for damaged files.
_PARSE_ERRORS = (ValueError, IndexError, KeyError, TypeError, OverflowError, EOFError, struct.error)
_DTYPE = re.compile(r"[<>|=]?(?:[iu][1248]|[US][1-9][0-9]{0,3}|O[48]?)")
_MARK = object()


class _Refused(Exception):
    """A part of a pickle that no permutation needs."""


@dataclasses.dataclass
class _Dtype:
    """The type of an array's elements: its byte order, which may follow later in the pickle, and its kind and size."""

    order: str
    code: str

    def numpy(self) -> np.dtype[Any]:
        return np.dtype(self.order + self.code)


@dataclasses.dataclass
class _Array:
    """An array as its pickle describes it. The one that is the result is read, so that no pickle reads one often."""

    dtype: Any = None
    shape: Any = None
    data: Any = None

    def elements(self) -> list[Any]:
        """Return the elements of a one-dimensional array."""
        if not isinstance(self.dtype, _Dtype) or not isinstance(self.shape, tuple):
            raise _Refused("it holds an incomplete array")
        if len(self.shape) != 1 or type(self.shape[0]) is not int:
            raise _Refused(f"its array has {len(self.shape)} dimensions")
        if self.dtype.code.startswith("O"):
            elements = self.data if isinstance(self.data, list) else []
        else:
            elements = _elements(self.data, self.dtype.numpy())
        if len(elements) != self.shape[0]:
            raise _Refused(f"its array has {len(elements)} elements and states another number")
        return list(elements)


def read_permutation(path: Path) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Return the entries or the positions that a pickled list or one-dimensional array holds; the other is empty."""
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise _Refused(f"it has {size} bytes, and at most {MAX_BYTES} are read")
        content = _content(_interpret(path.read_bytes()))
    except (_Refused, OSError, ValueError) as error:
        raise UserError(
            f"the list {path} cannot be read ({error}); it must be a pickled list, tuple or one-dimensional array of"
            " image names or of positions 0, 1, …, each once. Nothing in it was executed."
        ) from None
    if all(isinstance(item, str) for item in content):
        return tuple(content), ()
    return (), tuple(content)


def _content(value: Any) -> list[Any]:
    """Return the names or the positions of a pickle's value; refuse everything else."""
    if not isinstance(value, (_Array, list, tuple)):
        raise _Refused(f"it holds {_kind(value)}")
    items = value.elements() if isinstance(value, _Array) else value
    items = [item.decode("utf-8", "replace") if isinstance(item, bytes) else item for item in items]
    if not items:
        raise _Refused("it is empty")
    if all(isinstance(item, str) for item in items):
        return items
    if not all(type(item) is int for item in items):
        raise _Refused(f"it holds {', '.join(sorted({_kind(item) for item in items}))}")
    if sorted(items) != list(range(len(items))):
        raise _Refused(f"its {len(items)} numbers are not the positions 0 to {len(items) - 1}, each once")
    return items


def _kind(value: Any) -> str:
    return {_Array: "an array", _Name: "a function or class"}.get(type(value), f"values of type {type(value).__name__}")


# --- numpy's functions, by the names under which pickles of all its versions refer to them --------------------------


@dataclasses.dataclass(frozen=True)
class _Name:
    """A function or class that a pickle names; `equivalent` stands in for it."""

    equivalent: Callable[..., Any]


def _new_array(*_: Any) -> _Array:
    return _Array()


def _new_dtype(code: Any, *_: Any) -> _Dtype:
    if not isinstance(code, str) or not _DTYPE.fullmatch(code):
        raise _Refused("its array holds neither whole numbers nor texts")
    return _Dtype(code[0] if code[0] in "<>" else "|", code.lstrip("<>|="))


def _array_of_buffer(buffer: Any, dtype: Any, shape: Any, _order: Any = "C") -> _Array:
    return _Array(dtype=dtype, shape=shape, data=buffer)


def _scalar(dtype: Any, data: Any) -> Any:
    if not isinstance(dtype, _Dtype) or dtype.code.startswith("O") or len(data) != dtype.numpy().itemsize:
        raise _Refused("it holds an incomplete number")
    return _elements(data, dtype.numpy())[0]


def _elements(data: Any, dtype: np.dtype[Any]) -> list[Any]:
    """Return an array's elements from its bytes. Python 2, and Python 3 for protocol 2, write bytes as texts."""
    raw = data.encode("latin1") if isinstance(data, str) else data
    if not isinstance(raw, (bytes, bytearray)) or len(raw) % dtype.itemsize:
        raise _Refused("its array has no whole number of elements")
    elements: list[Any] = np.frombuffer(bytes(raw), dtype).tolist()
    return elements


def _encode(text: Any, encoding: Any = "latin1") -> str:
    """Return the text by which protocol 2 writes bytes; `_elements` makes bytes of it."""
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        raise _Refused("it encodes a text in an unknown way")
    return text


def _empty_bytes(*arguments: Any) -> bytes:
    if arguments:
        raise _Refused("it makes bytes in an unknown way")
    return b""


def _no_call(*_: Any) -> Any:
    raise _Refused("it makes an array in an unknown way")


_NUMPY = {"_reconstruct": _new_array, "scalar": _scalar}
_ALLOWED: dict[tuple[str, str], _Name] = {
    **{
        (module, name): _Name(equivalent)
        for module in ("numpy.core.multiarray", "numpy._core.multiarray")
        for name, equivalent in _NUMPY.items()
    },
    **{(module, "_frombuffer"): _Name(_array_of_buffer) for module in ("numpy.core.numeric", "numpy._core.numeric")},
    ("numpy", "ndarray"): _Name(_no_call),
    ("numpy", "dtype"): _Name(_new_dtype),
    ("_codecs", "encode"): _Name(_encode),
    **{(module, "bytes"): _Name(_empty_bytes) for module in ("__builtin__", "builtins")},
}


# --- the interpreter ------------------------------------------------------------------------------------------------


def _interpret(data: bytes) -> Any:
    """Return the value of a pickle. Each instruction takes a few steps, so the file's size bounds time and memory."""
    machine = _Machine()
    try:
        with warnings.catch_warnings(action="ignore"):  # Python warns of unknown escapes in texts
            for opcode, argument, _ in pickletools.genops(data):
                if opcode.name == "STOP":
                    return machine.result()
                machine.execute(opcode.name, argument)
    except _PARSE_ERRORS as error:
        raise _Refused(f"it is no whole pickle: {str(error)[:100]}") from None
    raise _Refused("it ends before its last instruction")


class _Machine:
    """The stack and the memo of a pickle."""

    def __init__(self) -> None:
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}
        self._text_made = 0  # characters; a pickle can make the same text many times

    def result(self) -> Any:
        if len(self._stack) != 1:
            raise _Refused("it does not hold exactly one value")
        return self._stack[0]

    def execute(self, name: str, argument: Any) -> None:
        if name in _PUSHED:
            self._stack.append(argument)
        elif name in _CONSTANTS:
            self._stack.append(_CONSTANTS[name]())
        elif name in _TUPLE_SIZES:
            self._stack.append(tuple(self._pop(_TUPLE_SIZES[name])))
        elif name in _HANDLERS:
            _HANDLERS[name](self, argument)
        elif name not in ("PROTO", "FRAME"):
            raise _Refused(f"it holds the instruction {name}")

    def _pop(self, number: int) -> list[Any]:
        if len(self._stack) < number:
            raise _Refused("it takes more values than it holds")
        values = self._stack[len(self._stack) - number :]
        del self._stack[len(self._stack) - number :]
        return values

    def _pop_to_mark(self) -> list[Any]:
        values: list[Any] = []
        while self._stack and self._stack[-1] is not _MARK:
            values.append(self._stack.pop())
        self._pop(1)
        return values[::-1]

    def _mark(self, _: Any) -> None:
        self._stack.append(_MARK)

    def _list(self, _: Any) -> None:
        self._stack.append(self._pop_to_mark())

    def _tuple(self, _: Any) -> None:
        self._stack.append(tuple(self._pop_to_mark()))

    def _append(self, _: Any) -> None:
        self._extend(self._pop(1))

    def _appends(self, _: Any) -> None:
        self._extend(self._pop_to_mark())

    def _extend(self, values: list[Any]) -> None:
        (target,) = self._pop(1)
        if not isinstance(target, list):
            raise _Refused("it appends to something other than a list")
        target.extend(values)
        self._stack.append(target)

    def _pop_one(self, _: Any) -> None:
        self._pop(1)

    def _put(self, index: int) -> None:
        self._memo[index] = self._top()

    def _memoize(self, _: Any) -> None:
        self._memo[len(self._memo)] = self._top()

    def _top(self) -> Any:
        if not self._stack or self._stack[-1] is _MARK:
            raise _Refused("it refers to a value that it does not hold")
        return self._stack[-1]

    def _get(self, index: int) -> None:
        if index not in self._memo:
            raise _Refused("it refers to a value that it does not hold")
        self._stack.append(self._memo[index])

    def _global(self, argument: str) -> None:
        self._push_name(*argument.split(" ", 1))

    def _stack_global(self, _: Any) -> None:
        self._push_name(*self._pop(2))

    def _push_name(self, module: Any, name: Any) -> None:
        if not isinstance(module, str) or not isinstance(name, str):
            raise _Refused("it names something unknown")
        if (module, name) not in _ALLOWED:
            raise _Refused(f"it names {module}.{name}"[:100])
        self._stack.append(_ALLOWED[module, name])

    def _reduce(self, _: Any) -> None:
        function, arguments = self._pop(2)
        if not isinstance(function, _Name) or not isinstance(arguments, tuple):
            raise _Refused("it calls something unknown")
        result = function.equivalent(*arguments)
        self._text_made += len(result) if isinstance(result, (str, bytes)) else 0
        if self._text_made > MAX_BYTES:
            raise _Refused(f"it makes texts of more than {MAX_BYTES} characters")
        self._stack.append(result)

    def _build(self, _: Any) -> None:
        target, state = self._pop(2)
        if isinstance(target, _Dtype) and isinstance(state, tuple) and len(state) >= 2 and state[1] in ("<", ">", "|"):
            target.order = state[1]
        elif isinstance(target, _Array) and isinstance(state, tuple) and len(state) == 5:
            target.shape, target.dtype, target.data = state[1], state[2], state[4]
        else:
            raise _Refused("it changes something other than an array")
        self._stack.append(target)


_PUSHED = frozenset({
    *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4"),
    *("STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"),
    *("BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"),
})  # fmt: skip
_CONSTANTS: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None, "NEWTRUE": lambda: True, "NEWFALSE": lambda: False, "EMPTY_LIST": list, "EMPTY_TUPLE": tuple,
}  # fmt: skip
_TUPLE_SIZES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_HANDLERS: dict[str, Callable[[_Machine, Any], None]] = {
    "MARK": _Machine._mark, "LIST": _Machine._list, "TUPLE": _Machine._tuple,
    "APPEND": _Machine._append, "APPENDS": _Machine._appends, "POP": _Machine._pop_one,
    "PUT": _Machine._put, "BINPUT": _Machine._put, "LONG_BINPUT": _Machine._put, "MEMOIZE": _Machine._memoize,
    "GET": _Machine._get, "BINGET": _Machine._get, "LONG_BINGET": _Machine._get,
    "GLOBAL": _Machine._global, "STACK_GLOBAL": _Machine._stack_global,
    "REDUCE": _Machine._reduce, "BUILD": _Machine._build,
}  # fmt: skip
