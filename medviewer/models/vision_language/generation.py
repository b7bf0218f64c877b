"""Lets a vision-language model write: greedy and therefore the same every time, streamed, cancellable within one block
of the network, and stopped where it repeats itself."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import torch

from medviewer.core.errors import InputRefused
from medviewer.core.progress import Progress
from medviewer.models.cancelling import watched
from medviewer.models.ladder import is_out_of_memory, not_enough
from medviewer.models.vision_language.loading import VisionLanguageModel, quiet_library
from medviewer.models.vision_language.repetition import repeated_tail

Ending = Literal["end", "tokens", "characters", "repeats"]
MOST_CHARACTERS = 20_000
_SHOWN = 300  # characters of the text that progress shows
_PAUSE_S = 0.1  # between two reports
_CHECK_EVERY = 8  # tokens
# what a model's own settings may say about greedy writing; sampling, beams and caches are left out
_KEPT = (
    "bos_token_id", "eos_token_id", "pad_token_id", "repetition_penalty", "no_repeat_ngram_size", "suppress_tokens",
    "bad_words_ids",
)  # fmt: skip


@dataclass(frozen=True)
class GenerationSettings:
    """`device`: auto, cpu, cuda or mps. `max_tokens`: of the answer. `pictures`: at most; 0: as many as the prompts say
    for the model's layout."""

    device: str = "auto"
    max_tokens: int = 512
    pictures: int = 0


@dataclass(frozen=True)
class Shown:
    """A piece of the message: words, or a picture."""

    text: str = ""
    image: Any = None


@dataclass(frozen=True)
class Written:
    """What the model wrote, why it stopped, and the numbers of tokens that it read and wrote."""

    text: str
    ended: Ending
    tokens_read: int
    tokens: int
    seconds: float


@dataclass(frozen=True, eq=False)
class Message:
    """The input of the network, on its device. `plain`: the folder has no chat template."""

    inputs: dict[str, Any] = field(repr=False)
    length: int
    plain: bool


def message_of(model: VisionLanguageModel, parts: Sequence[Shown]) -> Message:
    """The network's input for a user's message. Words that are special to the model ("<image>") are taken out of the
    texts, so that nothing in a prior report can pose as a picture or end the message."""
    special = _special(model)
    content = [
        {"type": "image", "image": part.image} if part.image is not None
        else {"type": "text", "text": _without(part.text, special)}
        for part in parts
    ]  # fmt: skip
    inputs, plain = _tokenised(model, content)
    return Message(dict(inputs), int(inputs["input_ids"].shape[1]), plain)


def _special(model: VisionLanguageModel) -> tuple[str, ...]:
    tokenizer, processor = model.processor.tokenizer, model.processor
    known = {str(token) for token in tokenizer.all_special_tokens}
    known |= {str(token) for token in tokenizer.added_tokens_decoder.values() if token.special}
    known |= {str(token) for name in ("image_token", "boi_token") if (token := getattr(processor, name, ""))}
    return tuple(sorted(known - {""}, key=len, reverse=True))


def _without(text: str, tokens: Sequence[str]) -> str:
    while any(token in text for token in tokens):
        for token in tokens:
            text = text.replace(token, " ")
    return text


def _tokenised(model: VisionLanguageModel, content: list[dict[str, Any]]) -> tuple[Any, bool]:
    processor = model.processor
    template = processor.chat_template or getattr(processor.tokenizer, "chat_template", None)
    if template:
        messages = [{"role": "user", "content": content}]
        inputs = processor.apply_chat_template(
            messages, chat_template=template, add_generation_prompt=True, tokenize=True, return_dict=True,
            return_tensors="pt",
        )  # fmt: skip
        return inputs, False
    token = getattr(processor, "image_token", "<image>")
    lines = [token if part["type"] == "image" else part["text"] for part in content]
    pictures = [part["image"] for part in content if part["type"] == "image"]
    text = "USER: " + "\n".join(lines) + "\nASSISTANT:"
    return processor(images=[pictures] if pictures else None, text=[text], return_tensors="pt"), True


def write(
    model: VisionLanguageModel, message: Message, max_tokens: int, progress: Progress,
    on_text: Callable[[str], None] | None = None,
) -> Written:
    """Let the model answer. `on_text` gets the whole text so far, at most ten times a second, on this thread.

    Raises Cancelled, and InputRefused where message and answer are longer than the model can read or memory runs out.
    """
    if message.length + max_tokens > model.longest:
        raise InputRefused(
            f"The model {model.folder.name} reads at most {model.longest} tokens; the message has {message.length} and "
            f"the answer may have {max_tokens}.", "Show fewer pictures or shorten the prior report.", code="too-long",
        )  # fmt: skip
    start = time.perf_counter()
    writing = _Writing(model, message, max_tokens, progress, on_text)
    with quiet_library(), watched(progress), torch.inference_mode():
        try:
            writing.run()
        except (MemoryError, RuntimeError) as error:
            if is_out_of_memory(error):
                raise not_enough(f"to let the model {model.folder.name} write") from None
            raise
    seconds = time.perf_counter() - start
    text, count = writing.text(), len(writing.tokens)
    return Written(text, writing.ended, message.length, count, seconds)


class _Writing:
    """One answer; a stopping rule of transformers' `generate` follows it token by token."""

    def __init__(
        self, model: VisionLanguageModel, message: Message, max_tokens: int, progress: Progress,
        on_text: Callable[[str], None] | None,
    ) -> None:
        self.tokens: list[int] = []
        self.ended: Ending = "end"
        self._model, self._message, self._most = model, message, max_tokens
        self._progress, self._on_text = progress, on_text
        self._told = 0.0

    def run(self) -> None:
        from transformers import GenerationConfig, StoppingCriteriaList

        network = self._model.network
        own = network.generation_config
        kept = {name: value for name in _KEPT if (value := getattr(own, name, None)) is not None}
        settings = GenerationConfig(**kept, do_sample=False, num_beams=1, max_new_tokens=self._most)
        dtype = self._model.plan.dtype
        inputs = {
            name: value.to(network.device, dtype if value.is_floating_point() else None)
            for name, value in self._message.inputs.items()
        }
        network.generation_config = settings
        try:
            rules = StoppingCriteriaList([self._stop])
            network.generate(**inputs, generation_config=settings, stopping_criteria=rules)
        finally:
            network.generation_config = own
        if self.ended == "end" and len(self.tokens) >= self._most and self.tokens[-1] not in self._ends():
            self.ended = "tokens"
        self._tell(self.text())

    def text(self) -> str:
        """What was written so far; of what only repeats, the first time."""
        tokens = self.tokens
        if self.ended == "repeats":
            tokens = tokens[: len(tokens) - repeated_tail(tokens)]
        text = str(self._model.processor.tokenizer.decode(tokens, skip_special_tokens=True))
        return text[:MOST_CHARACTERS]

    def _stop(self, ids: torch.Tensor, scores: Any, **unused: Any) -> torch.Tensor:
        """Called by `generate` after each token (ids: 1 x all tokens, the prompt's first); whether to stop."""
        self._progress.check_cancelled()
        self.tokens += ids[0, self._message.length + len(self.tokens) :].tolist()
        if len(self.tokens) % _CHECK_EVERY == 0 and repeated_tail(self.tokens):
            self.ended = "repeats"
        elif time.perf_counter() - self._told >= _PAUSE_S:
            text = self.text()
            self._tell(text)
            if len(text) >= MOST_CHARACTERS:
                self.ended = "characters"
        return torch.full((ids.shape[0],), self.ended != "end", dtype=torch.bool, device=ids.device)

    def _tell(self, text: str) -> None:
        self._told = time.perf_counter()
        self._progress.report(len(self.tokens) / max(1, self._most), text[-_SHOWN:].replace("\n", " ").strip())
        if self._on_text is not None:
            self._on_text(text)

    def _ends(self) -> tuple[int, ...]:
        ids = self._model.network.generation_config.eos_token_id
        return tuple(ids) if isinstance(ids, (list, tuple)) else (ids,)
