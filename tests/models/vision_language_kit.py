"""Small random vision-language models, saved as the published ones are: several weight files with an index, the
published names of the tensors, a processor, a chat template, a licence."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

SIDE, PATCH = 28, 14  # pixels of a picture and of a patch: four patches
_GEMMA_CHAT = (
    "{{ bos_token }}{% for m in messages %}<start_of_turn>{{ 'model' if m['role'] == 'assistant' else m['role'] }}\n"
    "{% for c in m['content'] %}{% if c['type'] == 'image' %}<start_of_image>{% else %}{{ c['text'] }}{% endif %}"
    "{% endfor %}<end_of_turn>\n{% endfor %}{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
)
_LLAVA_CHAT = (
    "{% for m in messages %}{{ m['role'].upper() + ': ' }}"
    "{% for c in m['content'] | selectattr('type', 'equalto', 'image') %}{{ '<image>\n' }}{% endfor %}"
    "{% for c in m['content'] | selectattr('type', 'equalto', 'text') %}{{ c['text'] + ' ' }}{% endfor %}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'ASSISTANT:' }}{% endif %}"
)
CARD = "---\nlicense: other\nlicense_name: small-model-terms\n---\n# A small random model\n"


def _tokenizer(phrases: Sequence[str], **special: Any) -> Any:
    """Bytes as words, and whole phrases as further words."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = ["<pad>", "<eos>", "<bos>", "<unk>", *sorted(pre_tokenizers.ByteLevel.alphabet())]
    tokenizer = Tokenizer(models.BPE({word: n for n, word in enumerate(words)}, [], unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_tokens([AddedToken(phrase, normalized=False) for phrase in phrases])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="<eos>", bos_token="<bos>", unk_token="<unk>",
        extra_special_tokens=special,
    )  # fmt: skip


def _gemma_tokenizer() -> Any:
    """Of Gemma's own class: letters, a sign for the space, and bytes for everything else."""
    from transformers import GemmaTokenizer

    special = {"boi_token": "<start_of_image>", "eoi_token": "<end_of_image>", "image_token": "<image_soft_token>"}
    signs = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", *(f"<0x{n:02X}>" for n in range(256)), "▁", "\n"]
    known = [*signs, *(chr(n) for n in range(33, 127))]
    words = GemmaTokenizer(vocab={word: n for n, word in enumerate(known)}, extra_special_tokens=special)
    turns = {"extra_special_tokens": ["<start_of_turn>", "<end_of_turn>"]}
    words.add_special_tokens(turns, replace_extra_special_tokens=False)
    return words


def save_gemma(folder: Path) -> Path:
    """As MedGemma is published: Gemma3ForConditionalGeneration, tied words, Gemma's tokenizer, two weight files."""
    from transformers import Gemma3Config, Gemma3ForConditionalGeneration, Gemma3ImageProcessor, Gemma3Processor

    words = _gemma_tokenizer()
    config = Gemma3Config(
        text_config=_text(words, num_key_value_heads=1, head_dim=16, sliding_window=64, max_position_embeddings=8192),
        vision_config=_vision(vision_use_head=False), mm_tokens_per_image=4, boi_token_index=words.boi_token_id,
        eoi_token_index=words.eoi_token_id, image_token_index=words.image_token_id,
        eos_token_id=[1, words.convert_tokens_to_ids("<end_of_turn>")],
    )  # fmt: skip
    torch.manual_seed(1)
    network = Gemma3ForConditionalGeneration(config)
    with torch.no_grad():
        network.model.multi_modal_projector.mm_input_projection_weight.normal_()
    pictures = Gemma3ImageProcessor(size={"height": SIDE, "width": SIDE})
    processor = Gemma3Processor(pictures, words, chat_template=_GEMMA_CHAT, image_seq_length=4)
    _save(folder, network, processor)
    unset = dict.fromkeys(("do_convert_rgb", "do_pan_and_scan", "pan_and_scan_min_crop_size"))
    _change(folder / "preprocessor_config.json", image_seq_length=4, processor_class="Gemma3Processor", **unset)
    return folder


def save_llava(folder: Path, phrases: Sequence[str] = (), *, longest: int = 8192) -> Path:
    """As LLaVA-1.5 is published: LlavaForConditionalGeneration. With `phrases` the model says just these, in order,
    each of which has to be different; where the last one is among the earlier ones it goes on from there for ever."""
    from transformers import LlavaConfig, LlavaForConditionalGeneration, LlavaProcessor
    from transformers.models.clip.image_processing_clip import CLIPImageProcessor

    known = list(dict.fromkeys(phrases))
    words = _tokenizer(known, image_token="<image>")
    text = {"model_type": "llama", **_text(words, num_key_value_heads=2, max_position_embeddings=longest)}
    vision = {"model_type": "clip_vision_model", "projection_dim": 8, **_vision(num_hidden_layers=2)}
    config = LlavaConfig(
        text_config=text, vision_config=vision, image_token_index=words.image_token_id, image_seq_length=4,
    )  # fmt: skip
    torch.manual_seed(2)
    network = LlavaForConditionalGeneration(config)
    if phrases:
        _teach(network, [words.convert_tokens_to_ids(one) for one in (":", *phrases)], loops=len(known) < len(phrases))
    pictures = CLIPImageProcessor(size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE})
    processor = LlavaProcessor(
        pictures, words, patch_size=PATCH, vision_feature_select_strategy="default", chat_template=_LLAVA_CHAT,
        num_additional_image_tokens=1,
    )  # fmt: skip
    _save(folder, network, processor)
    template = folder / "chat_template.jinja"  # LLaVA has it in the older file
    _change(folder / "chat_template.json", chat_template=template.read_text(encoding="utf-8"))
    template.unlink()
    return folder


def _text(words: Any, **changes: Any) -> dict[str, Any]:
    sizes = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    ids = {"vocab_size": len(words), "pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 1}
    return sizes | ids | changes


def _vision(**changes: Any) -> dict[str, Any]:
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    return sizes | {"image_size": SIDE, "patch_size": PATCH} | changes


@torch.no_grad()
def _teach(network: Any, chain: list[int], *, loops: bool) -> None:
    """Make each word of the chain call the next one, whatever stood before, and the last the end."""
    for layer in network.model.language_model.layers:
        layer.self_attn.o_proj.weight.zero_()
        layer.mlp.down_proj.weight.zero_()
    embedding, head = network.model.language_model.embed_tokens.weight, network.lm_head.weight
    embedding.zero_()
    head.zero_()
    following = chain[1:] if loops else [*chain[1:], 1]
    for n, (word, after) in enumerate(zip(chain, following, strict=False)):
        embedding[word, n] = 1.0
        head[after, n] = 1.0


def _change(path: Path, **changes: Any) -> None:
    """Replace entries of a JSON file, which need not be there."""
    data = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    path.write_text(json.dumps(data | changes), encoding="utf-8")


def _save(folder: Path, network: Any, processor: Any) -> None:
    folder.mkdir(parents=True)
    network.save_pretrained(folder)
    processor.save_pretrained(folder)
    (folder / "README.md").write_text(CARD, encoding="utf-8")
    (folder / "LICENSE").write_text("For tests only.\n", encoding="utf-8")
    _as_published(folder)


def _as_published(folder: Path) -> None:
    """Two weight files with an index; the vision tower under its published name; the picture processor by itself."""
    tensors = {_published(name): value for name, value in load_file(folder / "model.safetensors").items()}
    (folder / "model.safetensors").unlink()
    names = sorted(tensors)
    shards = {"model-00001-of-00002.safetensors": names[::2], "model-00002-of-00002.safetensors": names[1::2]}
    for shard, kept in shards.items():
        save_file({name: tensors[name] for name in kept}, folder / shard, {"format": "pt"})
    mapping = {name: shard for shard, kept in shards.items() for name in kept}
    index = {"metadata": {"total_size": sum(t.nbytes for t in tensors.values())}, "weight_map": mapping}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")
    settings = json.loads((folder / "processor_config.json").read_text(encoding="utf-8"))
    _change(folder / "preprocessor_config.json", **settings.pop("image_processor"))
    (folder / "processor_config.json").write_text(json.dumps(settings), encoding="utf-8")


def _published(name: str) -> str:
    tower = "vision_tower."
    return name if not name.startswith(tower) else name.replace(tower, f"{tower}vision_model.", 1)
