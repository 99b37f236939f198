"""The GRU as an ONNX graph, run by ONNX Runtime in one thread: how a sequence model would be served on a CPU.

Both packages are the extra `zoo`, imported only here.
"""

from typing import Any, Final

import numpy as np

from fraudsim.arrays import Floats, Ints
from fraudsim.errors import FraudsimError
from model.zoo.gru import HIDDEN, GruModel
from model.zoo.interface import PAYMENT_SIZE, STEPS, ZooData

OPSET: Final = 17


class OnnxGru:
    """A fitted GRU, scored by ONNX Runtime.

    Raises:
        FraudsimError: ONNX or its runtime is not installed.
    """

    def __init__(self, model: GruModel) -> None:
        try:
            import onnxruntime
        except ImportError:
            raise FraudsimError(
                "zoo: ONNX Runtime is missing; `make setup-zoo` or `pip install 'fraudsim[zoo]'` adds it"
            ) from None
        self._document = to_onnx(model)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(
            self._document, options, providers=["CPUExecutionProvider"]
        )

    @property
    def size_bytes(self) -> int:
        return len(self._document)

    def inputs(self, data: ZooData, rows: Ints) -> tuple[Floats, Any]:
        """Payments first, padding last, as ONNX wants sequences; and their lengths."""
        sequences = data.sequences(rows)
        lengths = sequences[:, :, -1].sum(axis=1).astype(np.int32)
        shifted = np.zeros_like(sequences)
        for row, length in enumerate(lengths.tolist()):
            shifted[row, :length] = sequences[row, STEPS - length :]
        return np.ascontiguousarray(shifted.transpose(1, 0, 2)), lengths

    def score(self, inputs: Any) -> Floats:
        sequences, lengths = inputs
        (scores,) = self._session.run(None, {"payments": sequences, "lengths": lengths})
        return scores


def to_onnx(model: GruModel) -> bytes:
    """The graph: payments (STEPS, rows, P) and lengths (rows,) to scores (rows,)."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    p = model.parameters
    weights = {
        "W": p["W"].T[None],
        "R": p["R"].T[None],
        "B": np.concatenate([p["b"], np.zeros(3 * HIDDEN, np.float32)])[None],
        "out": p["out"].reshape(HIDDEN, 1),
        "bias": p["bias"],
        "flat": np.array([-1], np.int64),
        "first": np.array([0], np.int64),
    }
    nodes = [
        helper.make_node(
            "GRU",
            ["payments", "W", "R", "B", "lengths"],
            ["", "state"],
            hidden_size=HIDDEN,
            linear_before_reset=0,
        ),
        helper.make_node("Squeeze", ["state", "first"], ["last"]),
        helper.make_node("MatMul", ["last", "out"], ["product"]),
        helper.make_node("Add", ["product", "bias"], ["margin"]),
        helper.make_node("Sigmoid", ["margin"], ["column"]),
        helper.make_node("Reshape", ["column", "flat"], ["scores"]),
    ]
    graph = helper.make_graph(
        nodes,
        "gru",
        [
            helper.make_tensor_value_info("payments", TensorProto.FLOAT, [STEPS, "rows", PAYMENT_SIZE]),
            helper.make_tensor_value_info("lengths", TensorProto.INT32, ["rows"]),
        ],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["rows"])],
        [numpy_helper.from_array(np.ascontiguousarray(values), name) for name, values in weights.items()],
    )
    document = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=9)
    onnx.checker.check_model(document)
    return bytes(document.SerializeToString())
