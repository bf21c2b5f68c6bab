"""Make the small chat model of the live tests: `python models.py DIRECTORY`, run by the python that has vLLM."""

import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

# The client's environment, where types are checked, does not hold these three.
import torch  # type: ignore[import-not-found]
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers  # type: ignore[import-not-found]
from transformers import (  # type: ignore[import-not-found]
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
)

END_OF_TEXT, TURN_START, TURN_END = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
VOCABULARY = 2048
CONTEXT = 2048
TRAINING_FILES = 40

# ChatML, with the tools presented as Hermes models expect them and vLLM's parser `hermes` reads them back.
CHAT_TEMPLATE = """\
{%- if tools %}
{{- '<|im_start|>system\\n# Tools\\n<tools>' }}
{%- for tool in tools %}{{- '\\n' + (tool | tojson) }}{%- endfor %}
{{- '\\n</tools>\\nAnswer <tool_call>{"name": ..., "arguments": {...}}</tool_call><|im_end|>\\n' }}
{%- endif %}
{%- for message in messages %}
{{- '<|im_start|>' + message.role + '\\n' + (message.content or '') }}
{%- for call in message.tool_calls or [] %}
{{- '\\n<tool_call>' + (call.function | tojson) + '</tool_call>' }}
{%- endfor %}
{{- '<|im_end|>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}
"""


def training_text() -> Iterator[str]:
    """Yield text that every Python carries with it: sources of its standard library."""
    modules = sorted(Path(sysconfig.get_path("stdlib")).glob("*.py"))
    for module in modules[:TRAINING_FILES]:
        yield module.read_text(encoding="utf-8")


def train_tokenizer() -> PreTrainedTokenizerFast:
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[END_OF_TEXT, TURN_START, TURN_END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator(training_text(), trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        bos_token=END_OF_TEXT,
        eos_token=TURN_END,
        pad_token=END_OF_TEXT,
        chat_template=CHAT_TEMPLATE,
        model_max_length=CONTEXT,
    )


def random_llama(tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=128,
        intermediate_size=256,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=CONTEXT,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    llama = LlamaForCausalLM(config)
    blank = [token for token in range(VOCABULARY) if tokenizer.decode([token]).isspace()]
    with torch.no_grad():
        shape_answers(llama, end=tokenizer.eos_token_id, blank=blank)
    return llama.to(torch.bfloat16)


def shape_answers(llama: LlamaForCausalLM, *, end: int, blank: list[int]) -> None:
    """Let a model that knows nothing end an answer wherever a schema or a tool call lets it end."""
    embedding, head = llama.model.embed_tokens.weight, llama.lm_head.weight
    # With fresh weights the first two tokens are so close that rounding, which varies with the batch, would decide.
    head *= 10
    # A trait that every token has, and that the layers do not see, serves as the bias that Llama's head lacks.
    embedding[:, 0] = 0.25
    head[:, 0] = 0
    for layer in llama.model.layers:
        layer.input_layernorm.weight[0] = layer.post_attention_layernorm.weight[0] = 0
    # JSON allows white space without end, and `tool_choice="required"` call after call.
    head[blank, 0] = -3
    head[end, 0] = 0.4


def main(directory: str) -> None:
    tokenizer = train_tokenizer()
    tokenizer.save_pretrained(directory)
    random_llama(tokenizer).save_pretrained(directory)


if __name__ == "__main__":
    main(*sys.argv[1:])
