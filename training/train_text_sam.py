"""Train the default model: `python -m training.train_text_sam --data ../shared/data --minutes 60`.

Steps are drawn by `data.batches`; the state goes to `--run` (a folder git ignores) every few minutes and
`--resume` continues it. The learning rate falls to zero over the last share of the given minutes.
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import time
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import nn

from medviewer.io.atomic import atomic_write
from medviewer.models.text_sam import NetworkConfig, SparsePrompts, TextSam

from .data.batches import Batch, BatchMaker, Prefetch
from .data.dataset import load_all
from .data.samples import Sample
from .data.sets import structures
from .objectives.losses import dense_loss, pair_loss
from .quick_check import quick_dice

WARM_UP = 300  # steps


@dataclass
class Setup:
    """Everything that lives through a run."""

    options: argparse.Namespace
    model: TextSam
    average: TextSam
    optimizer: torch.optim.AdamW
    batches: Prefetch
    dev: list[Sample]
    step: int = 0
    seconds: float = 0.0
    log: list[dict[str, object]] = field(default_factory=list)


def main() -> None:
    """Parse the command line and train."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--run", type=Path, default=Path("runs/text_sam"))
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--pictures", type=int, default=8)
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--phantoms", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--check-minutes", type=float, default=10)
    parser.add_argument("--decay", type=float, default=0.6, help="share of the minutes, at the end, of falling rate")
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--start", type=Path, help="another run whose weights to begin with")
    fit(setup(parser.parse_args()))


def setup(options: argparse.Namespace) -> Setup:
    """Data, networks, optimizer; continues the saved state with `--resume`."""
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    options.run.mkdir(parents=True, exist_ok=True)
    kept, _ = load_all(options.data, options.phantoms)
    model = TextSam(NetworkConfig(size=options.size)).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    maker = BatchMaker(kept, list(structures()), options.size, options.seed + int(time.time()) * options.resume)
    state = Setup(
        options, model, copy.deepcopy(model).eval(), _optimizer(model, options.rate),
        Prefetch(maker, options.pictures), _dev_samples(options.data),
    )
    if options.resume:
        _restore(state)
    elif options.start is not None:
        saved = torch.load(options.start / "state.pt", weights_only=True)["average"]
        model.load_state_dict(saved, strict=False)
        state.average.load_state_dict(saved, strict=False)
    print(f"{len(kept)} samples, {sum(p.numel() for p in model.parameters()) / 1e6:.1f} M parameters", flush=True)
    return state


def _dev_samples(data: Path) -> list[Sample]:
    from .quick_check import dev_samples

    return dev_samples(data)


def _optimizer(model: nn.Module, rate: float) -> torch.optim.AdamW:
    plain = [p for p in model.parameters() if p.ndim < 2]
    decayed = [p for p in model.parameters() if p.ndim >= 2]
    groups = [{"params": decayed, "weight_decay": 0.03}, {"params": plain, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, rate, betas=(0.9, 0.99))


def fit(state: Setup) -> None:
    """Train until the minutes are over; save and check on the way."""
    start = saved = checked = time.monotonic()
    sums: dict[str, float] = {}
    count = 0
    while (share := (time.monotonic() - start) / (60 * state.options.minutes)) < 1:
        rate = _rate(state, share)
        parts = train_step(state, rate)
        for name, value in parts.items():
            sums[name] = sums.get(name, 0.0) + value
        count += 1
        if state.step % 50 == 0:
            means = " ".join(f"{name} {value / count:.3f}" for name, value in sums.items())
            print(f"step {state.step} {(time.monotonic() - start) / 60:.1f} min rate {rate:.1e} {means}", flush=True)
            sums, count = {}, 0
        if time.monotonic() - saved > 120:
            saved = time.monotonic()
            save(state)
        if time.monotonic() - checked > 60 * state.options.check_minutes:
            checked = time.monotonic()
            validate(state)
    save(state)
    validate(state)


def _rate(state: Setup, share: float) -> float:
    warm = min(1.0, (state.step + 1) / WARM_UP)
    decay = state.options.decay
    late = max(0.0, (share - (1 - decay)) / decay)
    return float(state.options.rate * warm * (0.5 + 0.5 * math.cos(math.pi * min(late, 1.0))))


def train_step(state: Setup, rate: float) -> dict[str, float]:
    """One optimizer step on one batch; returns the loss parts."""
    batch = state.batches.next()
    for group in state.optimizer.param_groups:
        group["lr"] = rate
    state.model.train()
    losses = batch_loss(state.model, batch)
    state.optimizer.zero_grad(set_to_none=True)
    losses["total"].backward()
    nn.utils.clip_grad_norm_(state.model.parameters(), 1.0)
    state.optimizer.step()
    state.step += 1
    _average(state)
    return {name: float(value.detach()) for name, value in losses.items()}


def batch_loss(model: TextSam, batch: Batch) -> dict[str, torch.Tensor]:
    """Loss parts of a batch, computed in bfloat16 where that is safe."""
    with torch.autocast("cpu", torch.bfloat16):
        embedding, high_res = model.encode_images(batch.images)
        text = model.encode_texts(batch.texts)
        prompts = SparsePrompts(batch.points, batch.labels, batch.masks, batch.has_mask)
        pictures = (embedding.index_select(0, batch.index), high_res.index_select(0, batch.index))
        decoded = model.decode(*pictures, text, batch.modality, prompts)
        direct = dense_logits(model, high_res, batch)
    parts = pair_loss(decoded, batch.target, batch.visible, batch.presence_known)
    parts["dense"] = dense_loss(direct.float(), batch.dense_target)
    return parts | {"total": parts["total"] + 0.7 * parts["dense"]}


def dense_logits(model: TextSam, high_res: torch.Tensor, batch: Batch) -> torch.Tensor:
    """Direct mask logits (q, h, w) of all dense names, picture by picture so that no features are copied."""
    query = model.mask_decoder.query(model.encode_texts(batch.dense_names))
    parts = []
    for number, features in enumerate(high_res):
        mine = query[batch.dense_index == number]
        parts.append(torch.einsum("qc,chw->qhw", mine[:, 1:], features) * 0.25 + mine[:, :1, None])
    return torch.cat(parts)


@torch.no_grad()
def _average(state: Setup) -> None:
    keep = min(0.998, (state.step + 1) / (state.step + 20))
    for slow, fast in zip(state.average.state_dict().values(), state.model.state_dict().values(), strict=True):
        if slow.dtype.is_floating_point:
            slow.lerp_(fast, 1 - keep)
        else:
            slow.copy_(fast)


def save(state: Setup) -> None:
    """Write the whole state atomically."""
    target = state.options.run / "state.pt"
    content = {
        "model": state.model.state_dict(), "average": state.average.state_dict(),
        "optimizer": state.optimizer.state_dict(), "step": state.step, "config": state.model.config.as_dict(),
    }
    with atomic_write(target) as temporary:
        torch.save(content, temporary)


def _restore(state: Setup) -> None:
    saved = torch.load(state.options.run / "state.pt", weights_only=True)
    state.model.load_state_dict(saved["model"])
    state.average.load_state_dict(saved["average"])
    state.optimizer.load_state_dict(saved["optimizer"])
    state.step = int(saved["step"])


def validate(state: Setup) -> None:
    """Dice of the averaged weights per set and structure on a part of dev, appended to `log.jsonl`."""
    begin = time.monotonic()
    results = quick_dice(state.average, state.dev)
    line = {"step": state.step, "dice": results}
    with (state.options.run / "log.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")
    print(f"dev after step {state.step} ({time.monotonic() - begin:.0f} s)", json.dumps(results), flush=True)


if __name__ == "__main__":
    main()
