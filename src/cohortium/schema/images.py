"""Declaration of a modality of images: pictures, series of slices, volumes."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from cohortium.schema.declare import Declaration, IdRule


class Window(Declaration):
    """Part of the intensities that is looked at, as radiologists give it (CT, Hounsfield units)."""

    centre: float
    width: float = Field(gt=0)


class Tiles(Declaration):
    """Pieces of the tissue on a whole-slide image, each an image of its own."""

    magnification: float = Field(10, gt=0, le=80, description="10 is one micrometre a pixel, 20 half a one")
    size: int = Field(224, ge=32, le=2048, description="height and width in pixels at that magnification")
    most: int = Field(64, gt=0, le=10_000, description="tiles of one slide, evenly spread over its tissue")
    tissue: float = Field(0.5, gt=0, le=1, description="share of a tile that is tissue, at least")


class ImagesSource(Declaration):
    """A modality of images. Each image becomes numbers by an encoder that learns nothing here.

    One image a unit gives a table; several, or the slices of a volume, give a bag.
    """

    shape: Literal["images"]
    folder: str | None = Field(None, description="files named <id>.<ending>, or a sub-folder for each id")
    file: str | None = Field(None, description="index, CSV or Parquet: a row for each image, paths relative to it")
    npz: str | None = Field(None, description="NumPy archive with arrays of images")
    id: str = Field("id", description="file: column whose image it is")
    path: str = Field("path", description="file: column with the image's path, a file or a folder")
    arrays: list[str] = Field(
        default_factory=lambda: ["images"],
        min_length=1,
        description="npz: arrays of images (n, height, width), with colours as a last axis of 3; or volumes, 4 axes",
    )
    ids: list[str] = Field(
        default_factory=list, description="npz: for each array the array of its ids; default: <array>/<number from 0>"
    )
    of: Literal["unit", "patient"] = Field("unit", description="whether ids name units or patients")
    id_rule: IdRule = IdRule()
    encoder: Literal["efficientnet_lite0", "descriptors"] = "efficientnet_lite0"
    torchscript: str | None = Field(
        None, description="your own encoder instead: a TorchScript file, or a torch.export one (.pt2)"
    )
    size: int = Field(224, ge=16, le=2048, description="height and width in pixels that the encoder is given")
    slices: int = Field(16, gt=0, description="of a volume: so many slices, evenly spaced")
    window: Window | None = Field(
        None,
        description="intensities to look at; default: 0 to 255, or what is no 8-bit picture by its own percentiles",
    )
    tiles: Tiles | None = Field(None, description="files are whole-slide images, cut into tiles")
    absent_reason: Literal["not_measured", "failed_qc", "not_at_site", "withheld", "after_index"] = "not_measured"

    @model_validator(mode="after")
    def _one_place(self) -> ImagesSource:
        if sum(x is not None for x in (self.folder, self.file, self.npz)) != 1:
            raise ValueError("give exactly one of folder, file (an index of paths) and npz")
        if self.ids and len(self.ids) != len(self.arrays):
            raise ValueError("ids needs one name for each of arrays")
        if self.npz is None and {"arrays", "ids"} & self.model_fields_set:
            raise ValueError("arrays and ids are for npz")
        if self.npz is not None and self.tiles is not None:
            raise ValueError("tiles are cut from files of slides, not from npz")
        return self

    @property
    def paths(self) -> list[str]:
        """The file or folder that it reads."""
        return [str(self.folder or self.file or self.npz)]
