"""The normalisation that is fast on GPUs, against torch's."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from monai_sagan.networks import SAGANGenerator, to_device
from monai_sagan.networks.instance_norm import InstanceNorm

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


def a_pair(affine: bool, spatial_dims: int = 2) -> tuple[InstanceNorm, nn.Module]:
    """Ours and torch's with the same weights."""
    torch.manual_seed(0)
    ours = InstanceNorm(6, affine=affine)
    theirs = (nn.InstanceNorm2d if spatial_dims == 2 else nn.InstanceNorm3d)(6, affine=affine)
    for parameter in ours.parameters():
        nn.init.uniform_(parameter, 0.5, 2.0)
    theirs.load_state_dict(ours.state_dict())
    return ours, theirs


def images(spatial_dims: int = 2, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    """Channels whose means are several standard deviations from zero, as after ReLU and a convolution."""
    values = torch.randn(3, 6, *[8] * spatial_dims, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return (values * 2 + 7).to(dtype)


@pytest.mark.parametrize("affine", [False, True])
@pytest.mark.parametrize("spatial_dims", [2, 3])
def test_it_is_torchs(spatial_dims: int, affine: bool) -> None:
    ours, theirs = (norm.double() for norm in a_pair(affine, spatial_dims))
    x = images(spatial_dims)
    for computed in (ours(x), ours.by_moments(x)):
        torch.testing.assert_close(computed, theirs(x), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("affine", [False, True])
def test_its_gradients_are_torchs(affine: bool) -> None:
    ours, theirs = (norm.double() for norm in a_pair(affine))
    weights = torch.randn(3, 6, 8, 8, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    gradients = []
    for compute, norm in ((ours.by_moments, ours), (theirs, theirs)):
        x = images().requires_grad_()
        (compute(x) * weights).sum().backward()
        gradients.append([x.grad, *(parameter.grad for parameter in norm.parameters())])
    for mine, other in zip(*gradients, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-10, atol=1e-10)


def test_its_gradient_is_that_of_its_values() -> None:
    ours, _ = a_pair(affine=True)
    ours.double()
    x = images()[:2, :, :3, :4].requires_grad_()
    assert torch.autograd.gradcheck(ours.by_moments, x)


def test_gradients_in_few_bits() -> None:
    ours, _ = a_pair(affine=True)
    weights = torch.randn(3, 6, 8, 8, generator=torch.Generator().manual_seed(2))
    gradients = []
    for dtype in (torch.float32, torch.bfloat16):
        ours.zero_grad()
        x = images(dtype=dtype).requires_grad_()
        (ours.by_moments(x).float() * weights).sum().backward()
        assert x.grad.dtype == dtype
        assert ours.weight.grad.dtype == torch.float32
        gradients.append([x.grad.float(), ours.weight.grad.clone(), ours.bias.grad.clone()])
    for exact, rounded in zip(*gradients, strict=True):
        # Some eight numbers of 8 bits each are multiplied and added on the way.
        assert (exact - rounded).norm() < 8 * 2**-8 * exact.norm()


def test_few_bits() -> None:
    ours, _ = a_pair(affine=False)
    x = images(dtype=torch.bfloat16)
    exact = ours.double()(x.double())
    # Values up to 15 are halved, 3.5 is taken off and some 4 are left, and each is rounded to 8 bits, as are the two
    # moments that they are multiplied by.
    assert (ours.by_moments(x).double() - exact).abs().max() < 2 * (15 / 2 + 3.5 + 4) * 2**-8
    assert ours.by_moments(x).dtype == torch.bfloat16


def test_a_constant_channel_is_nothing() -> None:
    ours, _ = a_pair(affine=False)
    for dtype in (torch.float32, torch.bfloat16):
        assert ours.by_moments(torch.full((1, 6, 4, 4), 3.0, dtype=dtype)).abs().max() < 0.1


@needs_cuda
def test_a_network_on_a_gpu_gives_what_it_gives_on_a_cpu() -> None:
    torch.manual_seed(0)
    network = SAGANGenerator(base_channels=8, num_res_blocks=2).eval()
    on_gpu = to_device(copy.deepcopy(network), torch.device("cuda"))
    image = torch.rand(4, 1, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    with torch.inference_mode(), torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        computed = on_gpu(image.cuda()).cpu()
    # 32 bits in another order: some 1e-7 a layer, which normalisation may raise where a channel hardly varies.
    torch.testing.assert_close(computed, network(image).detach(), rtol=0, atol=1e-4)
    assert on_gpu.down1.conv.weight.is_contiguous(memory_format=torch.channels_last)
