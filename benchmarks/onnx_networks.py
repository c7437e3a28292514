"""Our networks as ONNX, for other engines: a .tflite file in, float32 or int8, the same network as ONNX out.

An int8 file becomes QDQ: the same integers for weights and biases, and QuantizeLinear with DequantizeLinear and the
file's own scale and zero point behind each operator. Features have ONNX's order (1, channels, 1, time).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from quantize.tflite.file import ModelFile, Operator, Tensor, read_model

_OPSET, _IR = 17, 9
_BINARY = {"ADD": "Add", "SUB": "Sub", "MUL": "Mul"}
_TO_ONNX, _FROM_ONNX = (0, 3, 1, 2), (0, 2, 3, 1)


def to_onnx(model: bytes) -> bytes:
    """Return the network of a .tflite file as ONNX, from `input`, shape (1, 1, steps, channels), to `logits`."""
    return _Writer(read_model(model)).written()


class _Writer:
    """Writes the nodes of one network."""

    def __init__(self, file: ModelFile) -> None:
        self._file = file
        self._nodes: list[Any] = []
        self._constants: dict[str, Any] = {}
        self._values: dict[int, str] = {}

    def written(self) -> bytes:
        """Return the ONNX file."""
        file = self._file
        first, last = file.tensors[file.inputs[0]], file.tensors[file.outputs[0]]
        taken = self._add("Transpose", ["input"], perm=_TO_ONNX)
        self._values[file.inputs[0]] = (
            self._add("DequantizeLinear", [taken, *self._steps(first)]) if first.scales else taken
        )
        for operator in file.operators:
            self._write(operator)
        out = self._values[file.outputs[0]]
        self._nodes.append(helper.make_node("QuantizeLinear", [out, *self._steps(last)], ["logits"]) if last.scales
                           else helper.make_node("Identity", [out], ["logits"]))  # fmt: skip
        graph = helper.make_graph(
            self._nodes,
            "drsn",
            [helper.make_tensor_value_info("input", _element(first), first.shape)],
            [helper.make_tensor_value_info("logits", _element(last), last.shape)],
            [*self._constants.values()],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR)
        onnx.checker.check_model(model)
        data: bytes = model.SerializeToString()
        return data

    def _write(self, operator: Operator) -> None:
        out = self._file.tensors[operator.outputs[0]]
        if operator.name == "CONV_2D":
            value = self._convolution(operator)
        elif operator.name in _BINARY:
            value = self._add(_BINARY[operator.name], [self._value(index) for index in operator.inputs[:2]])
        elif operator.name == "MEAN":
            value = self._add("ReduceMean", [self._value(operator.inputs[0])], axes=(2, 3), keepdims=1)
        elif operator.name == "LEAKY_RELU":
            value = self._add("LeakyRelu", [self._value(operator.inputs[0])], alpha=operator.options["alpha"])
        elif operator.name == "LOGISTIC":
            value = self._add("Sigmoid", [self._value(operator.inputs[0])])
        elif operator.name == "RESHAPE":
            value = self._reshaped(
                self._value(operator.inputs[0]), self._file.tensors[operator.inputs[0]].shape, out.shape
            )
        else:
            raise SystemExit(f"No ONNX form of {operator.name} is known here.")
        if operator.options.get("activation") == "RELU":
            value = self._add("Relu", [value])
        if out.scales:
            steps = self._steps(out)
            value = self._add("DequantizeLinear", [self._add("QuantizeLinear", [value, *steps]), *steps])
        self._values[operator.outputs[0]] = value

    def _convolution(self, operator: Operator) -> str:
        data, weights = (self._file.tensors[index] for index in operator.inputs[:2])
        stride, length = operator.options["stride_w"], weights.shape[2]
        assert isinstance(stride, int)
        before = after = 0
        if operator.options["padding"] == "SAME":
            missing = max((-(-data.shape[2] // stride) - 1) * stride + length - data.shape[2], 0)
            before, after = missing // 2, missing - missing // 2
        taken = [self._value(index) for index in operator.inputs]
        pads = (0, before, 0, after)
        return self._add("Conv", taken, kernel_shape=(1, length), strides=(1, stride), pads=pads)

    def _reshaped(self, value: str, before: tuple[int, ...], after: tuple[int, ...]) -> str:
        if len(before) == 4 and before[2] > 1:
            value = self._add("Transpose", [value], perm=_FROM_ONNX)
        value = self._add("Reshape", [value, self._constant(np.array(after, np.int64))])
        return self._add("Transpose", [value], perm=_TO_ONNX) if len(after) == 4 else value

    def _value(self, index: int) -> str:
        """Return the name of a tensor's real values, for a constant after writing it."""
        if index not in self._values:
            tensor = self._file.tensors[index]
            array = tensor.array
            if array.ndim == 4:
                array = array.transpose(_TO_ONNX)
            elif array.ndim == 1 and not self._is_bias(index):
                array = array.reshape(1, -1, 1, 1)
            name = self._constant(np.ascontiguousarray(array))
            if tensor.scales:
                more = {"axis": 0} if len(tensor.scales) > 1 else {}
                name = self._add("DequantizeLinear", [name, *self._steps(tensor)], **more)
            self._values[index] = name
        return self._values[index]

    def _is_bias(self, index: int) -> bool:
        return any(each.name == "CONV_2D" and each.inputs[2] == index for each in self._file.operators)

    def _steps(self, tensor: Tensor) -> list[str]:
        scales, zeros = np.array(tensor.scales, np.float32), np.array(tensor.zero_points)
        kind = np.int32 if tensor.type == "INT32" else np.int8
        if len(scales) == 1:
            scales, zeros = scales.reshape(()), zeros.reshape(())
        return [self._constant(scales), self._constant(zeros.astype(kind))]

    def _constant(self, array: NDArray[Any]) -> str:
        name = f"constant_{len(self._constants)}"
        self._constants[name] = numpy_helper.from_array(array, name)
        return name

    def _add(self, kind: str, inputs: list[str], **options: Any) -> str:
        name = f"value_{len(self._nodes)}"
        self._nodes.append(helper.make_node(kind, inputs, [name], **options))
        return name


def _element(tensor: Tensor) -> int:
    return int(TensorProto.INT8 if tensor.scales else TensorProto.FLOAT)
