"""Networks by name: MONAI's, torchvision's, and what is said where there is none."""

from __future__ import annotations

import sys
from typing import Any

import pytest
import torch
from torch import nn

from monai_sagan.errors import SettingError, UserError
from monai_sagan.networks import make_backbone


@pytest.fixture
def no_torchvision(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torchvision", None)


def outputs_of(network: nn.Module, channels: int, dims: int = 2) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    with torch.inference_mode():
        return network.eval()(torch.rand((2, channels, *[32] * dims), generator=generator))


@pytest.mark.parametrize("name", ["resnet10", "densenet121", "seresnet50", "efficientnet-b0"])
@pytest.mark.parametrize(("dims", "channels"), [(2, 1), (2, 3), (3, 1)])
@pytest.mark.usefixtures("no_torchvision")
def test_networks_of_monai(name: str, dims: int, channels: int) -> None:
    network = make_backbone(name, dims, channels, num_classes=4)
    assert type(network).__module__.startswith("monai.")
    assert outputs_of(network, channels, dims).shape == (2, 4)


@pytest.mark.parametrize("name", ["googlenet", "vgg11", "mobilenet_v3_small"])
class TestTorchvision:
    def test_coloured_images_pass_exactly_its_network(self, name: str, torchvision_models: Any) -> None:
        torch.manual_seed(0)
        network = make_backbone(name, in_channels=3, num_classes=4)
        assert type(network).__module__.startswith("torchvision.")
        arguments = {"aux_logits": False, "init_weights": True} if name == "googlenet" else {}
        plain = torchvision_models.get_model(name, weights=None, num_classes=4, **arguments)
        plain.load_state_dict(network.state_dict())
        assert torch.equal(outputs_of(network, 3), outputs_of(plain, 3))

    def test_a_grey_image_is_three_equal_channels(self, name: str, torchvision_models: Any) -> None:
        network = make_backbone(name, in_channels=1, num_classes=4).eval()
        grey = torch.rand(2, 1, 32, 32)
        with torch.inference_mode():
            assert torch.equal(network(grey), network[1](grey.expand(-1, 3, -1, -1)))

    def test_it_trains_on_one_output(self, name: str, torchvision_models: Any) -> None:
        network = make_backbone(name, num_classes=4).train()
        assert network(torch.rand(2, 1, 64, 64)).shape == (2, 4)


class TestPretrained:
    def test_only_the_last_layer_is_new(self, torchvision_models: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        torch.manual_seed(0)
        published = torchvision_models.resnet18(weights=None).state_dict()
        monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", lambda *args, **kwargs: published)
        network = make_backbone("torchvision.resnet18", in_channels=3, num_classes=4, pretrained=True)
        state = network.state_dict()
        assert {key for key in published if not torch.equal(state[key], published[key])} == {"fc.weight", "fc.bias"}
        assert outputs_of(network, 3).shape == (2, 4)

    def test_inception_trains_on_one_output(self, torchvision_models: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        published = torchvision_models.inception_v3(weights=None, init_weights=False, aux_logits=True).state_dict()
        monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", lambda *args, **kwargs: published)
        network = make_backbone("inception_v3", in_channels=3, num_classes=4, pretrained=True).train()
        assert network(torch.rand(2, 3, 96, 96)).shape == (2, 4)

    def test_nothing_is_downloaded_unless_asked_for(
        self, torchvision_models: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(*args: Any, **kwargs: Any) -> None:
            raise AssertionError("a download began")

        monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", refuse)
        for name in ("googlenet", "torchvision.resnet18", "resnet18"):
            make_backbone(name)

    def test_without_internet(self, torchvision_models: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail(*args: Any, **kwargs: Any) -> None:
            raise OSError("no route to host")

        monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", fail)
        with pytest.raises(UserError, match=r"weights of resnet18 cannot be downloaded \(no route to host\); connect"):
            make_backbone("torchvision.resnet18", in_channels=3, pretrained=True)

    def test_a_network_without_a_last_linear_layer(
        self, torchvision_models: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        published = torchvision_models.squeezenet1_0(weights=None).state_dict()
        monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", lambda *args, **kwargs: published)
        with pytest.raises(SettingError, match="SqueezeNet has no last layer that could be replaced"):
            make_backbone("squeezenet1_0", in_channels=3, pretrained=True)


class TestErrors:
    @pytest.mark.parametrize("name", ["googlenet", "unet", "resnet17", "efficientnet-b99"])
    @pytest.mark.usefixtures("no_torchvision")
    def test_without_torchvision(self, name: str) -> None:
        with pytest.raises(UserError, match=f"^the network {name} is torchvision's.*or choose one that MONAI has"):
            make_backbone(name)

    @pytest.mark.parametrize("name", ["resnet17", "list_models", "UNet", "resnet", "fcn_resnet50"])
    def test_no_such_network(self, name: str, torchvision_models: Any) -> None:
        with pytest.raises(SettingError, match=f"^there is no network {name} that classifies"):
            make_backbone(name)

    def test_3d_by_torchvision(self) -> None:
        with pytest.raises(SettingError, match=r"googlenet is not one of MONAI's, and torchvision's are .* 2D, not 3D"):
            make_backbone("googlenet", spatial_dims=3)

    def test_weights_of_imagenet_for_monais_networks(self) -> None:
        with pytest.raises(SettingError, match=r"and resnet18 is MONAI's; choose torchvision.resnet18 or leave out"):
            make_backbone("resnet18", pretrained=True)

    def test_two_channels_by_torchvision(self) -> None:
        with pytest.raises(SettingError, match="takes images of 1 or 3 channels, not 2"):
            make_backbone("googlenet", in_channels=2)


class TestSettings:
    def test_of_monai(self) -> None:
        wide, narrow = make_backbone("resnet10"), make_backbone("resnet10", settings={"widen_factor": 0.25})
        assert narrow.fc.in_features == wide.fc.in_features // 4

    def test_of_torchvision(self, torchvision_models: Any) -> None:
        assert make_backbone("vgg11", in_channels=3, settings={"dropout": 0.25}).classifier[2].p == 0.25

    def test_one_that_the_network_does_not_have(self, torchvision_models: Any) -> None:
        for name in ("resnet10", "efficientnet-b0", "vgg11"):
            with pytest.raises(SettingError, match=f"the network {name} does not work with .*widht"):
                make_backbone(name, settings={"widht": 2})
