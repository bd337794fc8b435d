"""Training steps that are recorded and replayed on a GPU."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from monai_sagan.engines.cuda_graph import GraphedStep
from monai_sagan.engines.sagan_trainer import SAGANTrainer
from monai_sagan.errors import UserError
from monai_sagan.losses import CriticLoss, GeneratorLoss
from monai_sagan.networks import SAGANCritic, SAGANGenerator, to_device
from monai_sagan.transforms import RandPseudoAnomaly

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


@needs_cuda
def test_replayed_steps_are_steps_and_follow_the_learning_rate() -> None:
    def run(graphed: bool) -> tuple[list[float], torch.Tensor]:
        torch.manual_seed(0)
        network = nn.Linear(8, 1).cuda()
        optimizer = torch.optim.Adam(network.parameters(), 1e-2, fused=True, capturable=True)

        def step(x: torch.Tensor) -> dict[str, torch.Tensor]:
            loss = network(x).square().mean()
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            return {"loss": loss.detach()}

        once = GraphedStep(step, [optimizer], torch.device("cuda:0")) if graphed else step
        losses = []
        for number in range(8):
            optimizer.param_groups[0]["lr"] = 1e-2 / (1 + number)
            losses.append(once(torch.randn(4, 8, generator=torch.Generator().manual_seed(number)).cuda())["loss"])
        return [loss.item() for loss in losses], network.weight.detach().cpu()

    (losses, weight), (expected, expected_weight) = run(True), run(False)
    assert losses == pytest.approx(expected, rel=1e-5)
    torch.testing.assert_close(weight, expected_weight, rtol=0, atol=1e-6)


def test_a_recording_follows_the_learning_rate_of_a_checkpoint(pretended_cuda: list[Any]) -> None:
    optimizer = torch.optim.Adam([nn.Parameter(torch.zeros(1))], 1e-3)
    checkpoint = optimizer.state_dict()
    seen: list[Any] = []

    def step(x: torch.Tensor) -> dict[str, torch.Tensor]:
        assert pretended_cuda == [torch.device("cpu")]
        seen.append(optimizer.param_groups[0]["lr"])
        return {"loss": x}

    once = GraphedStep(step, [optimizer], torch.device("cpu"))
    optimizer.load_state_dict(checkpoint)  # which makes new groups
    for number in range(5):
        optimizer.param_groups[0]["lr"] = 1e-3 / (1 + number)
        once(torch.zeros(1))
    assert seen[:3] == [1e-3, 1e-3 / 2, 1e-3 / 3]  # as it is; then it was recorded
    (rate,) = seen[3:]
    assert rate == torch.tensor(1e-3 / 5)  # of the step that was replayed last
    assert optimizer.param_groups[0]["lr"] == 1e-3 / 5


def losses_of_a_training(iterations: int = 10, **settings: Any) -> list[dict[str, float]]:
    """With the same weights, images and random numbers each time."""
    device = torch.device("cuda")
    torch.manual_seed(0)
    generator = to_device(SAGANGenerator(base_channels=8, num_res_blocks=1, pass_through=0.0), device)
    critic = to_device(SAGANCritic(base_channels=4, num_layers=4), device)
    optimizers = [
        torch.optim.Adam(network.parameters(), 1e-4, betas=(0.5, 0.999), fused=True, capturable=True)
        for network in (generator, critic)
    ]
    images = torch.rand(2, 4 * iterations, 1, 32, 32, generator=torch.Generator().manual_seed(1)) * 2 - 1
    data = [{"image": healthy, "unlabeled": unlabeled} for healthy, unlabeled in images.transpose(0, 1)]
    trainer = SAGANTrainer(
        device=device,
        max_epochs=1,
        train_data_loader=torch.utils.data.DataLoader(data, 4, generator=torch.Generator()),
        generator=generator,
        generator_optimizer=optimizers[0],
        critic=critic,
        critic_optimizer=optimizers[1],
        generator_loss=GeneratorLoss(),
        critic_loss=CriticLoss(),
        pseudo_anomaly=RandPseudoAnomaly().set_random_state(7),
        **settings,
    )
    found: list[dict[str, torch.Tensor]] = []
    from ignite.engine import Events

    trainer.add_event_handler(Events.ITERATION_COMPLETED, lambda engine: found.append(engine.state.output))
    trainer.run()
    return [{name: loss.item() for name, loss in losses.items()} for losses in found]


@needs_cuda
@pytest.mark.parametrize("compile", [False, True])
def test_a_replayed_training_is_the_training(compile: bool) -> None:  # noqa: A002
    with torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False):
        expected = losses_of_a_training()
        losses = losses_of_a_training(cuda_graphs=True, compile=compile)
    assert [set(item) for item in losses] == [set(item) for item in expected]
    # Adam's first steps are as long whatever the gradient, so that rounding grows from step to step.
    for item, other in zip(losses, expected):
        assert item == pytest.approx(other, rel=1e-2, abs=1e-3)
    assert losses[0] == pytest.approx(expected[0], rel=1e-4, abs=1e-5)


@needs_cuda
def test_reduced_precision_is_near_on_a_gpu() -> None:
    expected, losses = (losses_of_a_training(cuda_graphs=True, amp=amp) for amp in (False, True))
    for name in ("identity", "restoration"):
        # As on a CPU: 8 bits, off by some 2**-9 a layer.
        assert losses[1][name] == pytest.approx(expected[1][name], rel=0.03), name


def test_not_for_several_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    class Distributed(nn.Module):
        pass

    monkeypatch.setattr(nn.parallel, "DistributedDataParallel", Distributed)
    with pytest.raises(UserError, match="cuda_graphs does not go together with training in several processes"):
        SAGANTrainer(
            torch.device("cpu"), 1, [], Distributed(), None, nn.Module(), None, GeneratorLoss(), CriticLoss(),
            RandPseudoAnomaly(), cuda_graphs=True,
        )  # fmt: skip
