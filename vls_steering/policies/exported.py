"""The network of a policy as an ONNX graph: what a tick that needs no gradient through the network runs on a CPU.

A tick is a dozen rows through a small network, where torch spends more time between the operations than in them;
ONNX Runtime fuses them and runs the same pass in half the time (`vls bench latency`).  `vls export` writes the graph
beside the weights.
"""

from __future__ import annotations

import logging
import warnings
from pathlib import Path

import onnxruntime
import torch
from torch import Tensor

from vls_steering.core.errors import ConfigurationError, MissingExtra
from vls_steering.policies.unet import ConditionalUNet

INPUTS = ("x", "level", "condition")
MAX_PARTICLES = 1024
_QUIET = 3  # ONNX Runtime's log level: errors


class ExportedNetwork:
    """Same arguments and result as `ConditionalUNet.forward`, on the CPU and without gradients.

    It runs on as many threads as torch had when it was made.  Raises ConfigurationError when the graph cannot be read.
    """

    def __init__(self, graph: bytes, source: str) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.inter_op_num_threads = 1
        options.log_severity_level = _QUIET
        try:
            self._session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # the bindings raise classes of their own, which share no base but this one
            raise ConfigurationError(
                f"ONNX Runtime {onnxruntime.__version__} cannot read {source}: {error}",
                "Write it anew with `vls export`",
            ) from error

    def __call__(self, x: Tensor, level: Tensor, condition: Tensor) -> Tensor:
        """Noisy x (K, H, A), level (K,), condition (1, C) -> the network's output (K, H, A)."""
        arguments = (x, level, condition)
        feed = {name: value.detach().numpy() for name, value in zip(INPUTS, arguments, strict=True)}
        return torch.from_numpy(self._session.run(None, feed)[0])


def export_graph(network: ConditionalUNet) -> bytes:
    """The network as an ONNX graph for any number of particles and one condition; takes some ten seconds.

    Raises MissingExtra when the exporter is not installed.
    """
    try:
        import onnxscript  # noqa: F401 - torch's exporter needs it and says so less clearly
    except ImportError as error:
        raise MissingExtra("onnxscript", "export") from error
    settings = network.settings
    # Two rows: with one, the exporter would take the number of particles for a constant.
    example = (
        torch.randn(2, settings.horizon, settings.action_size),
        torch.rand(2),
        torch.randn(1, settings.condition_size),
    )
    particles = torch.export.Dim("particles", min=1, max=MAX_PARTICLES)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporter's own modules about each other
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it misses torchvision, which we do not need
        program = torch.onnx.export(
            network.eval(),
            example,
            dynamo=True,
            verbose=False,
            input_names=list(INPUTS),
            output_names=["output"],
            dynamic_shapes=({0: particles}, {0: particles}, None),
        )
    assert program is not None
    return bytes(program.model_proto.SerializeToString())


def graph_path(weights: Path) -> Path:
    """Where the graph of the weights at `weights` lies."""
    return weights.with_suffix(".onnx")
