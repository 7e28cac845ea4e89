"""Detectors and maskers of the real architectures, tiny and randomly initialised, saved as their makers save theirs."""

from __future__ import annotations

from pathlib import Path

import torch

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ".", "red", "cube", "blue", "mug"]


def save_owlv2(folder: Path) -> Path:
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import CLIPTokenizerFast, Owlv2Config, Owlv2ForObjectDetection, Owlv2Processor
    from transformers.models.owlv2.image_processing_pil_owlv2 import Owlv2ImageProcessorPil

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: i for i, token in enumerate([*alphabet, *(c + "</w>" for c in alphabet), "<s>", "</s>", "!!"])}
    size = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    text = {**size, "vocab_size": len(vocabulary), "max_position_embeddings": 16}
    text |= {"bos_token_id": vocabulary["<s>"], "eos_token_id": vocabulary["</s>"], "pad_token_id": vocabulary["!!"]}
    vision = {**size, "image_size": 64, "patch_size": 16}
    torch.manual_seed(0)
    Owlv2ForObjectDetection(Owlv2Config(text_config=text, vision_config=vision, projection_dim=32)).save_pretrained(
        folder
    )
    words = CLIPTokenizerFast(
        tokenizer_object=Tokenizer(models.BPE(vocabulary, [], end_of_word_suffix="</w>")),
        bos_token="<s>", eos_token="</s>", pad_token="!!", unk_token="</s>", model_max_length=16,
    )  # fmt: skip
    pictures = Owlv2ImageProcessorPil(size={"height": 64, "width": 64})
    Owlv2Processor(image_processor=pictures, tokenizer=words).save_pretrained(folder)
    return folder


def save_grounding_dino(folder: Path) -> Path:
    from transformers import (
        BertConfig,
        BertTokenizerFast,
        GroundingDinoConfig,
        GroundingDinoForObjectDetection,
        GroundingDinoProcessor,
        SwinConfig,
    )
    from transformers.models.grounding_dino.image_processing_pil_grounding_dino import GroundingDinoImageProcessorPil

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.txt").write_text("\n".join(WORDS))
    words = BertTokenizerFast(vocab=str(folder / "vocab.txt"))
    text = BertConfig(
        vocab_size=len(WORDS), hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64
    )
    stages = {"depths": [1, 1, 1], "num_heads": [1, 2, 2], "window_size": 4}
    vision = SwinConfig(image_size=64, patch_size=4, embed_dim=16, out_features=["stage2", "stage3"], **stages)
    config = GroundingDinoConfig(
        backbone_config=vision, text_config=text, d_model=32, encoder_layers=1, decoder_layers=2,
        encoder_attention_heads=2, decoder_attention_heads=2, encoder_ffn_dim=64, decoder_ffn_dim=64,
        num_queries=12, num_feature_levels=3, max_text_len=16,
    )  # fmt: skip
    torch.manual_seed(0)
    GroundingDinoForObjectDetection(config).save_pretrained(folder)
    pictures = GroundingDinoImageProcessorPil(size={"height": 64, "width": 64})
    GroundingDinoProcessor(image_processor=pictures, tokenizer=words).save_pretrained(folder)
    return folder


def save_sam(folder: Path) -> Path:
    from transformers import SamConfig, SamModel, SamProcessor
    from transformers.models.sam.image_processing_pil_sam import SamImageProcessorPil

    vision = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "image_size": 64, "patch_size": 16}
    vision |= {"output_channels": 32, "mlp_dim": 64, "window_size": 2, "global_attn_indexes": [0], "num_pos_feats": 16}
    decoder = {
        "hidden_size": 32,
        "mlp_dim": 64,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "iou_head_hidden_dim": 32,
    }
    prompts = {"hidden_size": 32, "image_size": 64, "patch_size": 16, "mask_input_channels": 4}
    torch.manual_seed(0)
    config = SamConfig(vision_config=vision, prompt_encoder_config=prompts, mask_decoder_config=decoder)
    SamModel(config).save_pretrained(folder)
    pictures = SamImageProcessorPil(size={"longest_edge": 64}, pad_size={"height": 64, "width": 64})
    SamProcessor(image_processor=pictures).save_pretrained(folder)
    return folder
