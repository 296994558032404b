"""INT8 at batch 1: a chain of layers beside ONNX Runtime, and the prediction for one clip beside that in float32."""

import tempfile
from functools import partial
from pathlib import Path

from cases import Case, Work, normal
from refmer.int8 import QuantizedMatrix, quantize
from refmer.systems import SYSTEMS
from refmer.warm_up import trained
from steps import at_paper_size

WIDTHS = (192, 1024, 192, 1024, 192, 1024, 192)


def chain(torch):
    """Six linear layers with ReLU between; beside ONNX Runtime with dynamic quantization, if it and onnx are installed."""
    layers = [(0.05 * normal(n, m), normal(m)) for n, m in zip(WIDTHS[:-1], WIDTHS[1:], strict=True)]
    x = normal(1, WIDTHS[0])
    small = [(QuantizedMatrix.of(W), b) for W, b in layers]

    def ours():
        y = x
        for i, (W, b) in enumerate(small):
            y = W.linear(y, b, relu=i < len(small) - 1)
        return y

    return Work((1, *WIDTHS), ours, onnx_runtime(layers, x))


def onnx_runtime(layers, x):
    """Return {"torch": function} of the layers in ONNX Runtime, 8 bits, one thread; {} if it is not installed."""
    try:
        import onnxruntime
        from onnx import TensorProto, helper, numpy_helper, save
        from onnxruntime.quantization import quantize_dynamic
    except ImportError:
        return {}
    nodes, weights, name = [], [], "x"
    for i, (W, b) in enumerate(layers):
        weights += [numpy_helper.from_array(W, f"W{i}"), numpy_helper.from_array(b, f"b{i}")]
        nodes += [
            helper.make_node("MatMul", [name, f"W{i}"], [f"u{i}"]),
            helper.make_node("Add", [f"u{i}", f"b{i}"], [f"v{i}"]),
        ]
        name = f"v{i}"
        if i < len(layers) - 1:
            nodes.append(helper.make_node("Relu", [name], [f"y{i}"]))
            name = f"y{i}"
    ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, w]) for n, w in (("x", WIDTHS[0]), (name, WIDTHS[-1]))]
    model = helper.make_model(
        helper.make_graph(nodes, "chain", ends[:1], ends[1:], weights), opset_imports=[helper.make_opsetid("", 17)]
    )
    model.ir_version = 10
    with tempfile.TemporaryDirectory() as folder:
        large, small = Path(folder, "float.onnx"), Path(folder, "int8.onnx")
        save(model, large)
        quantize_dynamic(large, small)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        session = onnxruntime.InferenceSession(small.read_bytes(), options, providers=["CPUExecutionProvider"])
    return {"torch": lambda: session.run(None, {"x": x})}


def predict(name, size, torch):
    """Prediction for one clip in 8 bits; the column of PyTorch is that of the recognizer in float32."""
    model, clips = trained(name, every=6)
    if size == "paper":
        model = at_paper_size(model, clips)
    one, small = clips[:1], quantize(model)
    frames = sum(stream.x.shape[1] for stream in one.streams.values())
    return Work((frames,), lambda: small.predict(one), {"torch": lambda: model.predict(one)})


INTEGER = [
    Case("int8:chain", chain),
    *(Case(f"int8:{name}", partial(predict, name, "tiny")) for name in SYSTEMS),
    Case("int8:openface_adaptive:paper", partial(predict, "openface_adaptive", "paper")),
]
