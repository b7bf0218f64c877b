"""Makes a network of a checked folder, through transformers: from local files alone, safetensors alone, and without a
line of code from the folder. Loads torch and transformers on first use."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import torch

from medviewer.core.errors import InputRefused, ModelMissing, UserError
from medviewer.core.plain_text import one_line
from medviewer.core.progress import Progress, silent
from medviewer.models.cancelling import watch_blocks
from medviewer.models.devices import choose_device
from medviewer.models.ladder import is_out_of_memory, not_enough, release
from medviewer.models.vision_language.folder import ModelFolder, read_model_folder
from medviewer.models.vision_language.memory import Plan, choose_plan, need_of

T = TypeVar("T")
PICTURES, TOKENS = 8, 4_096  # what room is kept for: pictures, and tokens of prompt and answer together
_OFFLINE = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_HUB_DISABLE_TELEMETRY", "DO_NOT_TRACK")
_LOCAL = {"local_files_only": True, "trust_remote_code": False}


class VisionLanguageModel:
    """One loaded model on one device. Used by one thread at a time. `close` gives the memory back."""

    def __init__(self, folder: ModelFolder, network: Any, processor: Any, plan: Plan, sha256: str) -> None:
        self.folder, self.network, self.processor, self.plan, self.weights_sha256 = (
            folder, network, processor, plan, sha256,
        )  # fmt: skip
        watch_blocks(network)

    @classmethod
    def load(
        cls, folder: Path | ModelFolder, device: str = "auto", *, accepted: Collection[str] = (),
        free_memory: Callable[[], int] | None = None, pictures: int = PICTURES, tokens: int = TOKENS,
        progress: Progress | None = None,
    ) -> VisionLanguageModel:
        """Load a model folder. `accepted`: keys of the licences that a person accepted. `free_memory()`: bytes that may
        be taken; None: not checked. `device`: auto, cpu, cuda or mps.

        Raises InputRefused (folder, licence not accepted, not enough memory), ModelMissing (device, transformers),
        WrongUsage (device name), Cancelled (between the steps; reading the weights itself is one step).
        """
        progress = progress or silent()
        progress.report(0.0, "Looking at the model")
        files = folder if isinstance(folder, ModelFolder) else read_model_folder(folder)
        check_accepted(files, accepted)
        with quiet_library():
            config, plan = _planned(files, device, free_memory, pictures, tokens)
            sha256 = files.weights_sha256(progress.part(0.0, 0.4))
            progress.report(0.4, "Loading the model")
            processor = _refusing(files, lambda: _processor(files))
            network = _refusing(files, lambda: _network(files, config, plan))
        progress.report(1.0, "Model loaded")
        return cls(files, network, processor, plan, sha256)

    @property
    def device(self) -> torch.device:
        """Where it runs."""
        return self.plan.device

    @property
    def longest(self) -> int:
        """How many tokens, of prompt, pictures and answer together, the model can read."""
        text = self.network.config.get_text_config()
        return int(getattr(text, "max_position_embeddings", 0) or 1 << 30)

    def close(self) -> None:
        """Let go of the network."""
        self.network = self.processor = None
        release(self.plan.device)


def check_ready(
    folder: Path, device: str = "auto", *, accepted: Collection[str] = (),
    free_memory: Callable[[], int] | None = None, pictures: int = PICTURES, tokens: int = TOKENS,
) -> None:  # fmt: skip
    """Raise what `VisionLanguageModel.load` would raise, as far as that is known without reading the weights: so that
    nobody waits for other work first."""
    files = read_model_folder(folder)
    check_accepted(files, accepted)
    with quiet_library():
        _planned(files, device, free_memory, pictures, tokens)


def _planned(
    files: ModelFolder, device: str, free_memory: Callable[[], int] | None, pictures: int, tokens: int
) -> tuple[Any, Plan]:
    """The network's description, and where and in which arithmetic it fits."""
    chosen = choose_device(device)
    config = _refusing(files, lambda: _config(files))
    plan = choose_plan(
        files.name, chosen, device == "auto", files.sizes,
        lambda dtype: need_of(files.sizes, config, dtype, pictures, tokens), free_memory,
    )  # fmt: skip
    return config, plan


def check_accepted(folder: ModelFolder, accepted: Collection[str]) -> None:
    """Raise InputRefused, code "licence-not-accepted", until a person has accepted the terms of this model."""
    if folder.licence.key not in accepted:
        raise InputRefused(
            f"The model {folder.name} was not used yet, and its terms were not accepted: {folder.licence.name}.",
            "Read its licence and accept it before the first use.", code="licence-not-accepted",
        )  # fmt: skip


@contextmanager
def quiet_library() -> Iterator[None]:
    """transformers, told not to call home before it is imported, and silent."""
    for name in _OFFLINE:
        os.environ.setdefault(name, "1")
    try:
        from transformers.utils import logging
    except ImportError as error:
        hint = f'Install it for this Python: "{sys.executable}" -m pip install "transformers>=5"'
        message = "Vision-language models need the package transformers, which is not installed."
        raise ModelMissing(message, hint) from error
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity(logging.CRITICAL)
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


def _refusing(folder: ModelFolder, work: Callable[[], T]) -> T:
    """The library raises every kind of error for folders that it cannot use; a user is told one sentence."""
    try:
        return work()
    except UserError:
        raise
    except Exception as error:
        if is_out_of_memory(error):
            raise not_enough(f"for the model {folder.name}") from None
        raise InputRefused(
            f"The model {folder.name} cannot be loaded: {one_line(str(error) or type(error).__name__, 160)}",
            "Copy the whole folder again; models of a layout that transformers does not know cannot be used.",
            code="model-folder-refused",
        ) from error


def _config(folder: ModelFolder) -> Any:
    from transformers import AutoConfig, AutoModelForImageTextToText

    config = AutoConfig.from_pretrained(str(folder.path), **_LOCAL)
    if type(config) not in AutoModelForImageTextToText._model_mapping:
        raise ValueError(f"transformers knows no network that writes about pictures for {folder.layout or 'it'}.")
    return config


def _processor(folder: ModelFolder) -> Any:
    from transformers import AutoProcessor

    processor = AutoProcessor.from_pretrained(str(folder.path), **_LOCAL)
    if not hasattr(processor, "image_processor") or not hasattr(processor, "tokenizer"):
        raise ValueError("its processor does not take pictures and text.")
    return processor


def _network(folder: ModelFolder, config: Any, plan: Plan) -> Any:
    from transformers import AutoModelForImageTextToText

    network, told = AutoModelForImageTextToText.from_pretrained(
        str(folder.path), config=config, dtype=plan.dtype, use_safetensors=True, output_loading_info=True, **_LOCAL
    )
    unset = sorted([*told["missing_keys"], *(str(one[0]) for one in told["mismatched_keys"])])
    if unset:
        raise ValueError(f"{len(unset)} of its tensors are missing or of another size, the first is {unset[0]}.")
    return network.to(plan.device).eval()
