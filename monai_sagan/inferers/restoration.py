"""From an image at its own size to its restoration and anomaly map at that size."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from typing import Any

import torch
from monai.data.utils import dense_patch_slices
from monai.inferers import Inferer, sliding_window_inference
from monai.utils import convert_to_dst_type, convert_to_tensor

from monai_sagan.inferers.batches import device_of, dtype_of, with_affine
from monai_sagan.inferers.fixed_batches import FixedBatches
from monai_sagan.inferers.precision import gains_by_bfloat16
from monai_sagan.inferers.recorded_function import RecordedFunction
from monai_sagan.networks import SAGANGenerator
from monai_sagan.transfers import Download, upload
from monai_sagan.transforms import SliceLayout, check_slice_direction, has_foreground, resize

__all__ = ["RestorationInferer"]

_NOTHING_SHOWN = (
    "no slice shows anything but background; leave the volume out, or check its intensity range: 8-bit images are "
    "assumed to span 0 to 255."
)
# Below the patches' own grid there is no detail left to judge.
_SMALLEST_SIDE = 16


class RestorationInferer(Inferer):
    """Restores images of any size by a network that works at one size.

    By a network in 2D, pictures and the slices of volumes: they are brought to the network's grid, restored there in
    batches, and compared there; the map is half the absolute difference, as published. Map and difference are then
    brought back to the picture's own grid; the restored image is the image with the difference put on, so that what
    the network left alone keeps its detail. Slices are turned as :class:`~monai_sagan.transforms.SliceLayout` has it,
    so a volume gives the same map whichever way its voxels lie in the file.

    By a network in 3D, volumes at their own resolution, in windows of the network's size that overlap by half and are
    blended; the map is half the absolute difference of the volume and what it was restored to.

    Args:
        image_size: the network's size, rows first; its length says whether the network works in 2D or 3D.
        slice_direction: along which a volume is a stack of slices, see
            :func:`~monai_sagan.transforms.find_slice_axis`.
        batch_size: pictures, slices or windows that pass the network at once.
        background: in volumes, slices, windows and patches with nothing above this value are not computed: the
            restored image is the image there, and the map zero. The network gets it as a keyword argument. None to
            compute everything.
        keep_restored: whether the restored images are given too; without, a volume takes a third less memory.
        amp: whether to compute in bfloat16 where that is faster, see
            :func:`~monai_sagan.inferers.precision.gains_by_bfloat16`; elsewhere it is always 32 bits.
        compile: whether torch compiles the network for a CUDA device; that takes half a minute to two, and needs a C
            compiler.
        device: where to compute; by default where the network is.

    Raises:
        SettingError: if there is no such slice direction.

    Attributes:
        on_progress: called with the share of the inputs that is done, in (0, 1], after every batch of a volume.
    """

    def __init__(
        self,
        image_size: Sequence[int],
        slice_direction: str | int = "acquisition",
        batch_size: int = 16,
        background: float | None = None,
        keep_restored: bool = True,
        amp: bool = True,
        compile: bool = False,  # noqa: A002
        device: torch.device | str | None = None,
    ) -> None:
        super().__init__()
        self.image_size = [int(side) for side in image_size]
        check_slice_direction(slice_direction)
        self.slice_direction = slice_direction
        self.batch_size = max(1, int(batch_size))
        self.background = background
        self.keep_restored = keep_restored
        self.amp = amp
        self.compile = compile
        self.device = device
        self.prepared: tuple[tuple[int, ...], SAGANGenerator] | None = None
        self.on_progress: Callable[[float], None] | None = None

    def __call__(
        self, inputs: torch.Tensor, network: Callable[..., torch.Tensor], *args: Any, **kwargs: Any
    ) -> dict[str, torch.Tensor]:
        """Restores a batch.

        Args:
            inputs: (B, C, *spatial) in [-1, 1], x first; two or three spatial axes for a network in 2D, three for one
                in 3D. A MetaTensor's affine says how slices are turned.
            network: maps (N, C, *image_size), rows first, to restorations of the same shape.
            *args: passed to the network.
            **kwargs: passed to the network.

        Returns:
            ``pred``, the restored images, in [-1, 1], if they are kept, and ``anomaly_map``, in [0, 1]: both (B, C,
            *spatial), 32-bit, where ``inputs`` is and with its metadata.

        Raises:
            ValueError: if the number of axes does not suit the network, or an image is smaller than 16 pixels along
                an axis that a network in 2D sees, or a volume shows nothing but background.
        """
        images = convert_to_tensor(inputs, track_meta=False, dtype=torch.float32)
        dims, axes = len(self.image_size), images.dim() - 2
        if axes not in (dims, 3) or axes < 2:
            raise ValueError(f"an image with {axes} axes does not suit a network that works in {dims}D.")
        outputs = {"anomaly_map": _empty_like(images)}
        if self.keep_restored:
            outputs["pred"] = _empty_like(images)
        run = _Run(self, network, args, kwargs, images, is_volume=axes == 3)
        with torch.inference_mode():
            if axes == 2:
                # Pictures are slices that lie behind each other.
                stack = {key: tensor.permute(1, 2, 3, 0) for key, tensor in outputs.items()}
                self._restore_slices(images.permute(1, 2, 3, 0), stack, SliceLayout(2, 1, 0), run)
            else:
                for item, volume in enumerate(images):
                    run.item, run.has_seen = item, False
                    results = {key: tensor[item] for key, tensor in outputs.items()}
                    self._restore_volume(with_affine(volume, inputs, item), results, run)
                    if run.background is not None and not run.has_seen:
                        raise ValueError(_NOTHING_SHOWN)
        return {key: convert_to_dst_type(tensor, inputs, dtype=torch.float32)[0] for key, tensor in outputs.items()}

    def prepare(self, network: Callable[..., torch.Tensor], amp: bool) -> Callable[..., torch.Tensor]:
        """A network that computes what one does, but as a CUDA device does it fast.

        Args:
            network: on a CUDA device; generators alone are prepared, for evaluation.
            amp: whether to compute in bfloat16.

        Returns:
            One that shares the weights; the network itself, where it is none that can be prepared.
        """
        if not isinstance(network, SAGANGenerator) or network.training:
            return network
        # A recording finds the weights where they lie, and keeps to its precision.
        made_of = (amp, *(parameter.data_ptr() for parameter in network.parameters()))
        if self.prepared is None or self.prepared[0] != made_of:

            def restore(patches: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
                # Weights that were cast before would be freed while the recording still reads them.
                with torch.autocast("cuda", torch.bfloat16, enabled=amp, cache_enabled=False):
                    return network.restore_patches(patches, places).float()

            compiled = torch.compile(restore, dynamic=False) if self.compile else restore
            fast = copy(network)
            fast.restore_patches = FixedBatches(  # type: ignore[method-assign]
                RecordedFunction(compiled), self.batch_size * network.num_patches, only_largest=self.compile
            )
            self.prepared = made_of, fast
        return self.prepared[1]

    def _restore_volume(self, volume: torch.Tensor, results: dict[str, torch.Tensor], run: _Run) -> None:
        """Restores a volume (C, *spatial) into tensors of the same shape."""
        plain = convert_to_tensor(volume, track_meta=False)
        if len(self.image_size) == 2:
            self._restore_slices(plain, results, SliceLayout.of(volume, self.slice_direction), run)
            return
        layout = SliceLayout.of(volume, "axial")
        change = layout.undo_upright(self._change_windows(layout.upright(plain), run))
        torch.abs(change, out=results["anomaly_map"]).div_(2)
        if "pred" in results:
            torch.add(plain, change, out=results["pred"]).clamp_(-1, 1)

    def _restore_slices(
        self, volume: torch.Tensor, results: dict[str, torch.Tensor], layout: SliceLayout, run: _Run
    ) -> None:
        """Restores the slices of a volume (C, *spatial) into tensors of the same shape."""
        count, smallest = len(layout.view(volume)), min(layout.view(volume).shape[2:])
        if smallest < _SMALLEST_SIDE:
            raise ValueError(
                f"the image has only {smallest} pixels along one side; at least {_SMALLEST_SIDE} are needed."
            )
        begun: tuple[int, _Pictures] | None = None
        for start in range(0, count, self.batch_size):
            pictures = _Pictures(layout.take(volume, start, min(start + self.batch_size, count)), run, self._compare)
            if begun is not None:  # while a GPU works on these
                self._keep(*begun, results, layout, run)
            begun = start, pictures
        if begun is not None:
            self._keep(*begun, results, layout, run)

    def _keep(
        self, start: int, pictures: _Pictures, results: dict[str, torch.Tensor], layout: SliceLayout, run: _Run
    ) -> None:
        """Writes what was found in slices to results of the volume's shape."""
        found = pictures.found(self.keep_restored)
        for key, result in results.items():
            slices = layout.view(result)
            slices[start : start + len(pictures)] = layout.turn(found[key].to(result.device))
        run.tell((start + len(pictures)) / len(slices))

    def _compare(self, pictures: torch.Tensor, run: _Run) -> dict[str, torch.Tensor]:
        """Restores pictures (N, C, rows, columns), and maps what changed."""
        small = resize(pictures, self.image_size)
        change = run(small) - small
        size = pictures.shape[2:]
        results = {"anomaly_map": resize(change.abs() / 2, size)}
        if self.keep_restored:
            results["pred"] = (pictures + resize(change, size)).clamp_(-1, 1)
        return results

    def _change_windows(self, volume: torch.Tensor, run: _Run) -> torch.Tensor:
        """What restoring changes in a volume (C, slices, rows, columns), found window by window.

        Changes are blended and not what is restored, so that nothing is exactly nothing.
        """
        sides = [max(side, window) for side, window in zip(volume.shape[1:], self.image_size)]
        total = len(dense_patch_slices(sides, self.image_size, [window // 2 for window in self.image_size]))
        done = 0

        def change(windows: torch.Tensor) -> torch.Tensor:
            nonlocal done
            changes = torch.zeros_like(windows)
            shown = torch.arange(len(windows), device=windows.device)
            if run.background is not None:
                shown = shown[has_foreground(windows, run.background)]
            if len(shown):
                run.has_seen = True
                changes[shown] = run(windows[shown]) - windows[shown]
            done += len(windows)
            run.tell(done / total)
            return changes

        return sliding_window_inference(
            volume[None],
            self.image_size,
            self.batch_size,
            change,
            overlap=0.5,
            mode="gaussian",
            cval=-1.0,
            sw_device=run.device,
            device=volume.device,
        )[0]


class _Pictures:
    """Pictures that are being restored, those of them that show more than background.

    Args:
        pictures: (N, C, rows, columns).
        run: the network; on a GPU it has only begun when the constructor is done.
        compare: gives of pictures on the device what is found in them.
    """

    def __init__(
        self,
        pictures: torch.Tensor,
        run: _Run,
        compare: Callable[[torch.Tensor, _Run], dict[str, torch.Tensor]],
    ) -> None:
        self.pictures = pictures
        self.shown: torch.Tensor | None = None
        if run.background is not None:
            shown = has_foreground(pictures, run.background)
            self.shown = None if bool(shown.all()) else shown
        shows_something = self.shown is None or bool(self.shown.any())
        run.has_seen |= shows_something
        chosen = pictures if self.shown is None else pictures[self.shown]
        self.download = Download(compare(upload(chosen, run.device), run), pictures.device) if shows_something else None

    def __len__(self) -> int:
        return len(self.pictures)

    def found(self, keep_restored: bool) -> dict[str, torch.Tensor]:
        """What was found in each picture, (N, C, rows, columns): nothing in background."""
        if self.download is not None and self.shown is None:
            return self.download.wait()
        results = {"anomaly_map": torch.zeros_like(self.pictures)}
        if keep_restored:
            results["pred"] = self.pictures.clone()
        if self.download is not None:
            for key, new in self.download.wait().items():
                results[key][self.shown] = new
        return results


class _Run:
    """A network with what it is run with.

    Args:
        inferer: whose settings hold.
        network: as given to the inferer, with its further arguments.
        args: passed to the network.
        kwargs: passed to the network.
        images: all inputs.
        is_volume: whether they are volumes, whose background is left out.
    """

    def __init__(
        self,
        inferer: RestorationInferer,
        network: Callable[..., torch.Tensor],
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        images: torch.Tensor,
        is_volume: bool,
    ) -> None:
        self.args = args
        self.background = inferer.background if is_volume else None
        self.kwargs = dict(kwargs) if self.background is None else {**kwargs, "background": self.background}
        self.device = device_of(network, images.device) if inferer.device is None else torch.device(inferer.device)
        self.dtype = dtype_of(network)
        self.amp = inferer.amp and gains_by_bfloat16(network, self.device)
        self.network = inferer.prepare(network, self.amp) if self.device.type == "cuda" else network
        self.on_progress = inferer.on_progress if is_volume else None
        self.items = len(images)
        self.item = 0
        self.has_seen = False  # whether a part of the present item was more than background

    def __call__(self, pictures: torch.Tensor) -> torch.Tensor:
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.amp):
            restored = self.network(pictures.to(self.dtype), *self.args, **self.kwargs)
        return restored.float()

    def tell(self, share: float) -> None:
        """Tells that a share of the present item is done."""
        if self.on_progress is not None:
            self.on_progress((self.item + share) / self.items)


def _empty_like(images: torch.Tensor) -> torch.Tensor:
    """Room for results (B, C, *spatial), in memory as files have it, with x fastest: slices along z stay together."""
    batch, channels, *sides = images.shape
    return images.new_empty(batch, channels, *reversed(sides)).permute(0, 1, *range(len(sides) + 1, 1, -1))
