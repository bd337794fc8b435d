"""The published procedure that the benchmark measures is the one that this project's training is equal to."""

from __future__ import annotations

import pytest
import torch
from ignite.engine import Events
from published import PublishedTraining, as_pictures, batches_to_train, images_to_test, published_scores
from published_generator import PublishedGenerator
from torch.utils.data import DataLoader

from monai_sagan.engines import SAGANTrainer
from monai_sagan.losses import CriticLoss, GeneratorLoss
from monai_sagan.networks import SAGANCritic, SAGANGenerator
from monai_sagan.transforms import RandPseudoAnomaly

BATCH, STEPS, SIDE = 4, 4, 32
CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def no_pixel_is_passed_through(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing random is left in the published generator."""
    monkeypatch.setattr(torch, "rand_like", torch.ones_like)


def networks() -> tuple[PublishedGenerator, SAGANGenerator, SAGANCritic, SAGANCritic]:
    """The same networks twice, the generator first as published; in 64 bits, with nothing random."""
    torch.manual_seed(0)
    theirs = PublishedGenerator(4, 1)
    ours = SAGANGenerator(base_channels=4, num_res_blocks=1, pass_through=0.0)
    ours.load_published_state_dict(theirs.state_dict())
    critics = [SAGANCritic(base_channels=4, num_layers=4) for _ in range(2)]
    critics[1].load_state_dict(critics[0].state_dict())
    return theirs.double(), ours.double(), critics[0].double(), critics[1].double()


def some_images(count: int, seed: int = 1) -> torch.Tensor:
    """In [-1, 1], of 8 bits."""
    levels = torch.randint(0, 256, (count, 1, SIDE, SIDE), generator=torch.Generator().manual_seed(seed))
    return levels.double() / 127.5 - 1


def test_the_step_gives_the_losses_of_the_bundles_trainer() -> None:
    published_net, ours_net, published_critic, ours_critic = networks()
    healthy, unlabeled = some_images(BATCH * STEPS, 1), some_images(BATCH * STEPS, 2)
    data = [{"image": one, "unlabeled": other} for one, other in zip(healthy, unlabeled)]
    optimizers = [torch.optim.Adam(net.parameters(), 5e-5, betas=(0.5, 0.999)) for net in (ours_net, ours_critic)]
    trainer = SAGANTrainer(
        CPU,
        1,
        DataLoader(data, BATCH, generator=torch.Generator()),
        ours_net,
        optimizers[0],
        ours_critic,
        optimizers[1],
        GeneratorLoss(),
        CriticLoss(),
        RandPseudoAnomaly().set_random_state(7),
    )
    ours: list[dict[str, float]] = []
    trainer.add_event_handler(
        Events.ITERATION_COMPLETED,
        lambda engine: ours.append({name: float(loss) for name, loss in engine.state.output.items()}),
    )
    torch.manual_seed(3)
    trainer.run()

    training = PublishedTraining(published_net, published_critic, DataLoader([]), CPU)
    squares = RandPseudoAnomaly().set_random_state(7)
    torch.manual_seed(3)
    for step, (some_healthy, some_unlabeled) in enumerate(zip(healthy.split(BATCH), unlabeled.split(BATCH)), start=1):
        pseudo = some_healthy
        if step % 2 == 0:
            squares.randomize((SIDE, SIDE), BATCH)
            pseudo = squares.blend(some_healthy, some_healthy.roll(1, dims=0))
        losses = training.step(some_unlabeled, some_healthy, pseudo)
        expected = ours[step - 1]
        # In 64 bits the two differ by the order of sums alone; Adam makes 1e-16 of a weight at most 1e-8 of it.
        assert losses["gradient_penalty"] == pytest.approx(expected["gradient_penalty"], rel=1e-8)
        assert -(losses["real"] + losses["fake"]) == pytest.approx(expected["wasserstein"], rel=1e-8, abs=1e-10)
        assert {"adversarial", "identity", "restoration"} & set(losses) == set() if step % 2 else True
        for name in set(losses) & {"adversarial", "identity", "restoration"}:
            assert losses[name] == pytest.approx(expected[name], rel=1e-8, abs=1e-10), name
    assert step == STEPS


def test_the_generators_graph_is_kept_in_the_critics_step() -> None:
    """What the published procedure pays for, though nobody uses it."""
    generator, _, critic, _ = networks()
    seen: list[bool] = []
    generator.register_forward_hook(lambda module, args, output: seen.append(output.requires_grad))
    training = PublishedTraining(generator, critic, DataLoader([]), CPU)
    images = some_images(BATCH)
    training.step(images, images, images)
    assert seen == [True]
    training.step(images, images, images)
    assert seen == [True] * 5  # one pass for the critic, three for the generator


def test_batches_are_8_bit_images_with_pseudo_anomalies_of_other_healthy_ones() -> None:
    healthy, unlabeled = some_images(3, 1).float(), some_images(3, 2).float()
    torch.manual_seed(0)
    for _ in range(20):
        (batch,) = batches_to_train(as_pictures(healthy), as_pictures(unlabeled), batch_size=3, num_workers=0)
        for one_unlabeled, one_healthy, pseudo in zip(*batch):
            # 255 steps from -1 to 1, in 32 bits.
            number = next(n for n in range(3) if torch.allclose(one_healthy, healthy[n], atol=1e-6))
            assert torch.allclose(one_unlabeled, unlabeled[number], atol=1e-6)
            changed = (pseudo - one_healthy).abs()[0] > 1e-6
            assert changed.any()
            rows, columns = (changed.any(axis).nonzero().flatten() for axis in (1, 0))
            # Half widths of 2 to 5 pixels; centres from 6 to 24.
            assert rows[-1] - rows[0] < 12
            assert columns[-1] - columns[0] < 12
            assert min(rows[0], columns[0]) >= 0
            assert max(rows[-1], columns[-1]) < 30


def test_scores_are_those_of_the_bundles_network() -> None:
    published_net, ours_net, _, _ = networks()
    images = some_images(3).float()
    scores = published_scores(published_net.float(), images_to_test(as_pictures(images), num_workers=0), CPU)
    with torch.no_grad():
        expected = (images - ours_net.float().eval()(images)).abs().flatten(1).mean(1) / 2
    # Sums of a thousand terms in 32 bits.
    assert scores == pytest.approx(expected.tolist(), rel=1e-5)
