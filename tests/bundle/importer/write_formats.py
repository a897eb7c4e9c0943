#!/usr/bin/env python3
"""Writes the tensors of a golden bundle in the formats that publishers use: development only, needs PyTorch and NumPy.

  write_formats.py BUNDLE OUT [--full]

BUNDLE is a directory of make_golden_bundle (profile released). OUT receives one file for each format. The name schemes
are written down here once more, apart from the importer's, going from ours to theirs.
"""
import argparse
import json
import re
import struct
from collections import OrderedDict
from pathlib import Path

import torch

DTYPES = {"F16": torch.float16, "F32": torch.float32, "BF16": torch.bfloat16}
NAMES = {v: k for k, v in DTYPES.items()} | {torch.int64: "I64"}


def read(path):
    raw = path.read_bytes()
    (n,) = struct.unpack("<Q", raw[:8])
    header = json.loads(raw[8 : 8 + n])
    data = bytearray(raw[8 + n :])
    return {
        k: torch.frombuffer(data, dtype=DTYPES[v["dtype"]], count=max(1, (v["data_offsets"][1] - v["data_offsets"][0])
                            // DTYPES[v["dtype"]].itemsize), offset=v["data_offsets"][0]).reshape(v["shape"]).clone()
        for k, v in header.items() if k != "__metadata__"
    }


def write_safetensors(path, tensors):
    header, blobs, at = {}, [], 0
    for name, tensor in tensors.items():
        whole = tensor.contiguous().reshape(-1).view(torch.uint8)
        blob = whole.numpy().tobytes()
        header[name] = {"dtype": NAMES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [at, at + len(blob)]}
        at += len(blob)
        blobs.append(blob)
    text = json.dumps(header).encode()
    with open(path, "wb") as out:
        out.write(struct.pack("<Q", len(text)) + text)
        for blob in blobs:
            out.write(blob)


def thirds(tensor):
    return [t.clone() for t in tensor.chunk(3)]


def clip_hf(clip):
    out = {"logit_scale": torch.tensor(2.65926)}
    for name, t in clip.items():
        side, rest = ("vision_model", name[7:]) if name.startswith("visual.") else ("text_model", name)
        block = re.fullmatch(r"transformer\.resblocks\.(\d+)\.(.*)", rest)
        if block:
            to = f"{side}.encoder.layers.{block[1]}."
            what = block[2]
            if what.startswith("attn.in_proj_"):
                for letter, part in zip("qkv", thirds(t)):
                    out[f"{to}self_attn.{letter}_proj.{what[13:]}"] = part
                continue
            for ours, theirs in (("attn.out_proj", "self_attn.out_proj"), ("ln_1", "layer_norm1"), ("ln_2", "layer_norm2"),
                                 ("mlp.c_fc", "mlp.fc1"), ("mlp.c_proj", "mlp.fc2")):
                what = what.replace(ours, theirs)
            out[to + what] = t
        elif name == "visual.proj":
            out["visual_projection.weight"] = t.T.contiguous()
        elif name == "text_projection":
            out["text_projection.weight"] = t.T.contiguous()
        else:
            out[{"visual.class_embedding": "vision_model.embeddings.class_embedding",
                 "visual.conv1.weight": "vision_model.embeddings.patch_embedding.weight",
                 "visual.positional_embedding": "vision_model.embeddings.position_embedding.weight",
                 "visual.ln_pre.weight": "vision_model.pre_layrnorm.weight", "visual.ln_pre.bias": "vision_model.pre_layrnorm.bias",
                 "visual.ln_post.weight": "vision_model.post_layernorm.weight",
                 "visual.ln_post.bias": "vision_model.post_layernorm.bias",
                 "token_embedding.weight": "text_model.embeddings.token_embedding.weight",
                 "positional_embedding": "text_model.embeddings.position_embedding.weight",
                 "ln_final.weight": "text_model.final_layer_norm.weight",
                 "ln_final.bias": "text_model.final_layer_norm.bias"}[name]] = t
    out["text_model.embeddings.position_ids"] = torch.arange(77)[None]
    return out


def filo_after_training(clip, filo):
    """FiLo's own checkpoint: heads, the whole CLIP with renamed attention from block 6 on, the text tower once more."""
    out = OrderedDict()
    for name, t in clip.items():
        block = re.match(r"visual\.transformer\.resblocks\.(\d+)\.", name)
        if block and int(block[1]) >= 6:
            name = name.replace("attn.in_proj_", "attn.qkv.").replace("attn.out_proj", "attn.proj")
            if block[1] == "6" and ".attn." in name:
                out["clip_model.visual.attn." + name.split(".attn.")[1]] = t
        out["clip_model." + name] = t
        if not name.startswith("visual.") and not name.startswith("token_embedding"):
            out["text_encoder." + name] = t
    out["clip_model.logit_scale"] = torch.tensor(2.65926)
    out.update(filo)
    return out


def idea(gd, decoder_layers):
    out = OrderedDict()
    for name, t in gd.items():
        out[name] = t
        if name.startswith("bbox_embed.0."):
            for k in range(decoder_layers):
                out[f"bbox_embed.{k}.{name[13:]}"] = t
                out[f"transformer.decoder.bbox_embed.{k}.{name[13:]}"] = t
        if name.endswith("relative_position_bias_table"):
            out[name.replace("bias_table", "index")] = torch.zeros(49, 49, dtype=torch.int64)
    width = gd["bert.embeddings.LayerNorm.bias"].numel()
    out["bert.pooler.dense.weight"] = torch.zeros(width, width)
    out["bert.pooler.dense.bias"] = torch.zeros(width)
    out["bert.embeddings.position_ids"] = torch.arange(512)[None]
    out["label_enc.weight"] = torch.zeros(2001, 8)
    return out


def grounding_hf(gd):
    out = {}
    swin = "model.backbone.conv_encoder.model."
    rules = [
        (r"backbone\.0\.patch_embed\.proj\.", swin + "embeddings.patch_embeddings.projection."),
        (r"backbone\.0\.patch_embed\.norm\.", swin + "embeddings.norm."),
        (r"backbone\.0\.layers\.(\d+)\.blocks\.(\d+)\.norm1\.", swin + r"encoder.layers.\1.blocks.\2.layernorm_before."),
        (r"backbone\.0\.layers\.(\d+)\.blocks\.(\d+)\.norm2\.", swin + r"encoder.layers.\1.blocks.\2.layernorm_after."),
        (r"backbone\.0\.layers\.(\d+)\.blocks\.(\d+)\.attn\.qkv\.", swin + r"encoder.layers.\1.blocks.\2.attention.self.@."),
        (r"backbone\.0\.layers\.(\d+)\.blocks\.(\d+)\.attn\.proj\.", swin + r"encoder.layers.\1.blocks.\2.attention.output.dense."),
        (r"backbone\.0\.layers\.(\d+)\.blocks\.(\d+)\.attn\.", swin + r"encoder.layers.\1.blocks.\2.attention.self."),
        (r"backbone\.0\.layers\.(\d+)\.blocks\.(\d+)\.mlp\.fc1\.", swin + r"encoder.layers.\1.blocks.\2.intermediate.dense."),
        (r"backbone\.0\.layers\.(\d+)\.blocks\.(\d+)\.mlp\.fc2\.", swin + r"encoder.layers.\1.blocks.\2.output.dense."),
        (r"backbone\.0\.layers\.(\d+)\.downsample\.", swin + r"encoder.layers.\1.downsample."),
        (r"bert\.", "model.text_backbone."), (r"feat_map\.", "model.text_projection."),
        (r"input_proj\.", "model.input_proj_vision."),
        (r"transformer\.decoder\.ref_point_head\.", "model.decoder.reference_points_head."),
        (r"transformer\.enc_out_bbox_embed\.", "model.encoder_output_bbox_embed."),
        (r"transformer\.enc_output", "model.enc_output"), (r"transformer\.level_embed", "model.level_embed"),
        (r"transformer\.decoder\.norm\.", "model.decoder.layer_norm."),
        (r"transformer\.tgt_embed\.", "model.query_position_embeddings."),
    ]
    encoder = {"self_attn.": "deformable_layer.self_attn.", "norm1.": "deformable_layer.self_attn_layer_norm.",
               "linear1.": "deformable_layer.fc1.", "linear2.": "deformable_layer.fc2.",
               "norm2.": "deformable_layer.final_layer_norm."}
    text = {"self_attn.in_proj_": "text_enhancer_layer.self_attn.@.", "self_attn.out": "text_enhancer_layer.self_attn.out",
            "linear1.": "text_enhancer_layer.fc1.", "linear2.": "text_enhancer_layer.fc2.",
            "norm1.": "text_enhancer_layer.layer_norm_before.", "norm2.": "text_enhancer_layer.layer_norm_after."}
    fusion = {"gamma_v": "vision_param", "gamma_l": "text_param", "layer_norm_v": "layer_norm_vision",
              "layer_norm_l": "layer_norm_text", "attn.v_proj": "attn.vision_proj", "attn.l_proj": "attn.text_proj",
              "attn.values_v_": "attn.values_vision_", "attn.values_l_": "attn.values_text_",
              "attn.out_v_": "attn.out_vision_", "attn.out_l_": "attn.out_text_"}
    decoder = {"cross_attn.": "encoder_attn.", "norm1.": "encoder_attn_layer_norm.", "ca_text.in_proj_": "encoder_attn_text.@.",
               "ca_text.out": "encoder_attn_text.out", "catext_norm.": "encoder_attn_text_layer_norm.",
               "self_attn.in_proj_": "self_attn.@.", "self_attn.out": "self_attn.out", "norm2.": "self_attn_layer_norm.",
               "linear1.": "fc1.", "linear2.": "fc2.", "norm3.": "final_layer_norm."}
    for name, t in gd.items():
        new = name
        layer = re.fullmatch(r"transformer\.(encoder|decoder)\.(layers|text_layers|fusion_layers)\.(\d+)\.(.*)", name)
        norm = re.fullmatch(r"backbone\.0\.norm(\d)\.(.*)", name)
        if layer:
            table = {"layers": encoder, "text_layers": text, "fusion_layers": fusion}[layer[2]] if layer[1] == "encoder" else decoder
            key = next(k for k in table if layer[4].startswith(k))
            middle = "fusion_layer." if layer[2] == "fusion_layers" else ""
            new = f"model.{layer[1]}.layers.{layer[3]}.{middle}{table[key]}{layer[4][len(key):]}"
        elif norm:
            new = f"{swin}hidden_states_norms.stage{int(norm[1]) + 1}.{norm[2]}"
        else:
            for pattern, to in rules:
                new, hits = re.subn("^" + pattern, to, name)
                if hits:
                    break
        if "@" in new:
            for what, part in zip(("query", "key", "value"), thirds(t)):
                out[new.replace("@", what)] = part
        else:
            out[new] = t
    return out


def grounding_mmdet(gd, decoder_layers):
    out = OrderedDict()

    def reorder(t):  # IDEA's patch merging order -> that of unfold
        groups = t.reshape(*t.shape[:-1], 4, t.shape[-1] // 4)[..., [0, 2, 1, 3], :]
        return groups.transpose(-1, -2).reshape(t.shape).contiguous()

    for name, t in gd.items():
        if name.startswith("backbone.0."):
            new = name.replace("backbone.0.layers", "backbone.stages").replace("backbone.0.", "backbone.")
            new = new.replace("patch_embed.proj", "patch_embed.projection").replace(".attn.", ".attn.w_msa.")
            new = new.replace("mlp.fc1", "ffn.layers.0.0").replace("mlp.fc2", "ffn.layers.1")
            out[new] = reorder(t) if "downsample" in name else t
            continue
        level = re.fullmatch(r"input_proj\.(\d)\.(\d)\.(.*)", name)
        if level:
            kind = "convs." + level[1] if level[1] != "3" else "extra_convs.0"
            out[f"neck.{kind}.{'conv' if level[2] == '0' else 'gn'}.{level[3]}"] = t
            continue
        head = re.fullmatch(r"(bbox_embed\.0|transformer\.enc_out_bbox_embed)\.layers\.(\d)\.(.*)", name)
        if head:
            for k in range(decoder_layers) if head[1].startswith("bbox") else [decoder_layers]:
                out[f"bbox_head.reg_branches.{k}.{2 * int(head[2])}.{head[3]}"] = t
            continue
        new = name.replace("bert.", "language_model.language_backbone.body.model.", 1) if name.startswith("bert.") else name
        new = new.replace("feat_map.", "text_feat_map.") if new.startswith("feat_map") else new
        new = new.replace("transformer.tgt_embed", "query_embedding").replace("transformer.enc_output_norm", "memory_trans_norm")
        new = new.replace("transformer.enc_output", "memory_trans_fc").replace("transformer.", "", 1) if new.startswith("transformer") else new
        layer = re.fullmatch(r"(encoder|decoder)\.(layers|text_layers)\.(\d+)\.(.*)", new)
        if layer:
            rest = layer[4].replace("linear1", "ffn.layers.0.0").replace("linear2", "ffn.layers.1")
            if layer[1] == "encoder":
                rest = rest.replace("norm1", "norms.0").replace("norm2", "norms.1")
                if layer[2] == "text_layers":
                    rest = rest.replace("self_attn.", "self_attn.attn.")
            else:
                rest = rest.replace("catext_norm", "norms.@1").replace("norm1", "norms.@2").replace("norm2", "norms.@0")
                rest = rest.replace("norm3", "norms.@3").replace("@", "")
                rest = rest.replace("self_attn.", "self_attn.attn.").replace("ca_text.", "cross_attn_text.attn.")
            new = f"{layer[1]}.{layer[2]}.{layer[3]}.{rest}"
        out[new] = t
    out["dn_query_generator.label_embedding.weight"] = torch.zeros(80, 8)
    return out


class Holder(torch.nn.Module):
    """A module tree with the given parameter names, as TorchScript needs one."""

    def __init__(self, tensors):
        super().__init__()
        for name, tensor in tensors.items():
            module = self
            *path, leaf = name.split(".")
            for part in path:
                if part not in module._modules:
                    module.add_module(part, Holder({}))
                module = module._modules[part]
            module.register_parameter(leaf, torch.nn.Parameter(tensor, requires_grad=False))

    def forward(self, x):
        return x


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("bundle", type=Path)
    parser.add_argument("out", type=Path)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    manifest = json.loads((args.bundle / "manifest.json").read_text())
    clip, filo, gd = (read(args.bundle / f"{n}.safetensors") for n in ("clip", "filo", "grounding"))
    layers = manifest["grounding"]["decoder_layers"]
    out = args.out
    torch.jit.script(Holder(clip | {"logit_scale": torch.tensor(2.65926)})).save(str(out / "clip_torchscript.pt"))
    torch.save(clip, out / "clip_state_dict.pt")
    torch.save({"epoch": 3, "name": "x", "state_dict": OrderedDict(("module." + k, v) for k, v in clip.items())},
               out / "clip_open_clip.pt")
    write_safetensors(out / "clip_hf.safetensors", clip_hf(clip))
    torch.save(clip_hf(clip), out / "clip_hf.bin", _use_new_zipfile_serialization=False)
    torch.save({"filo": filo_after_training(clip, filo)}, out / "filo_train_on_x.pth")
    full = idea(gd, layers)
    torch.save({"model": OrderedDict(("module." + k, v) for k, v in full.items())}, out / "groundingdino_idea.pth")
    torch.save(full, out / "grounding_train_on_x.pth")
    write_safetensors(out / "grounding_hf.safetensors", grounding_hf(gd))
    torch.save({"meta": {"epoch": 1, "cfg": "text"}, "state_dict": grounding_mmdet(gd, layers)}, out / "grounding_mmdet.pth")


if __name__ == "__main__":
    main()
