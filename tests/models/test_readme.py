"""The README's own examples of the three comparisons: live where Julia is, replayed elsewhere."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

import numdl_bridge as nb

README = Path(__file__).parents[2] / "README.md"


def examples() -> list[str]:
    """The Python blocks of the section on a user's own model that compute something."""
    text = README.read_text().split("## Your own model")[1].split("\n## ")[0]
    blocks = re.findall(r"```python\n(.*?)```", text, flags=re.S)
    return [b for b in blocks if "nb.compare" in b]


def test_the_three_functions_are_shown() -> None:
    shown = re.findall(r"nb\.(compare_\w+)", "".join(examples()))
    assert shown == ["compare_gradients", "compare_ode", "compare_module"]


def test_the_examples_run_and_agree(bridge, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)  # one of them writes model.jl
    torch.manual_seed(0)
    # The examples call nb.compare_*; here their recordings are those beside this test.
    stand_in = SimpleNamespace(
        compare_gradients=bridge.compare_gradients,
        compare_ode=bridge.compare_ode,
        compare_module=bridge.compare_module,
        mirror=nb.mirror,
    )
    names = {"nb": stand_in, "torch": torch}
    for block in examples():
        exec(block.replace("import numdl_bridge as nb", ""), names)
        names["result"].assert_agree()
    assert (tmp_path / "model.jl").is_file()


@pytest.mark.julia
def test_the_written_twin_runs_with_flux_alone(tmp_path, julia) -> None:
    """`model.jl` and its weights, included in a fresh module, give torch's output."""
    import numpy as np

    torch.manual_seed(0)
    module = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.Tanh()).double()
    x = torch.randn(3, 1, 5, 6, dtype=torch.float64)
    path = nb.mirror(module, x).write(tmp_path / "model.jl")
    source = f"""
    function run(; x)
        twin = Module()
        Base.include(twin, {str(path)!r})
        Base.invokelatest() do
            twin.forward(twin.build(twin.load_weights()), x)
        end
    end
    """.replace("'", '"')
    names = {"at": ["x"], "constants": [], "packages": [], "name": "run", "source": source}
    sent = x.numpy().transpose()
    arrays = {"at/x": sent, "tangent/x": sent, "cotangent": np.zeros(module(x).shape[::-1])}
    reply = julia.worker.call("own_gradient", arrays, names)
    assert np.allclose(reply.arrays["value"].transpose(), module(x).detach().numpy(), atol=1e-14)
