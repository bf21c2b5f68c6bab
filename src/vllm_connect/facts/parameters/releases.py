"""Which vLLM release was the first to declare each parameter, and which the last.

Read from the sources of all 101 releases, 0.0.1 to 0.33.0; `./dev proof releases` reads them again and compares. A
release may declare what it does not do yet: the rows' notes tell that.
"""

from __future__ import annotations

from collections.abc import Mapping

from vllm_connect.facts.parameters.parameter import RequestKind

__all__ = ["SINCE", "UNTIL", "first_release", "last_release"]

# Names by the release that brought them; of those that were gone for a while, the one that brought them back.
SINCE: Mapping[RequestKind, Mapping[str, str]] = {
    "chat": {
        "0.0.1": (
            "frequency_penalty max_tokens messages model n presence_penalty stop stream temperature "
            "top_p user"
        ),
        "0.1.2": "best_of ignore_eos logit_bias top_k use_beam_search",
        "0.2.0": "skip_special_tokens stop_token_ids",
        "0.2.2": "spaces_between_special_tokens",
        "0.2.3": "add_generation_prompt echo",
        "0.2.4": "min_p repetition_penalty",
        "0.3.0": "include_stop_str_in_output length_penalty",
        "0.3.2": "seed",
        "0.3.3": "early_stopping guided_choice guided_json guided_regex logprobs top_logprobs",
        "0.4.0": "guided_grammar min_tokens response_format",
        "0.4.1": "guided_decoding_backend",
        "0.4.2": "guided_whitespace_pattern",
        "0.5.0": "add_special_tokens stream_options tool_choice tools",
        "0.5.1": "chat_template chat_template_kwargs documents",
        "0.5.3": "truncate_prompt_tokens",
        "0.5.5": "prompt_logprobs",
        "0.6.0": "parallel_tool_calls",
        "0.6.3": "continue_final_message priority",
        "0.6.4": "max_completion_tokens request_id",
        "0.6.5": "logits_processors",
        "0.7.3": "mm_processor_kwargs",
        "0.8.0": "return_tokens_as_token_ids",
        "0.8.5": "structural_tag",
        "0.9.0": "cache_salt kv_transfer_params",
        "0.9.1": "allowed_token_ids",
        "0.9.2": "bad_words vllm_xargs",
        "0.10.1": "include_reasoning reasoning_effort",
        "0.10.2": "return_token_ids",
        "0.11.0": "structured_outputs",
        "0.17.0": "repetition_detection",
        "0.18.0": "media_io_kwargs",
        "0.19.0": "thinking_token_budget",
        "0.21.0": "return_prompt_text",
        "0.22.0": "truncation_side",
        "0.25.0": "return_assistant_tokens_mask return_token_offsets",
        "0.26.0": "ec_transfer_params logprob_token_ids",
        "0.27.0": "stream_interval",
        "0.28.0": "routed_experts_prompt_start session_id",
        "0.30.0": "watermarking",
        "0.32.0": "mm_payload return_mm_kwargs",
        "0.33.0": "return_weight_versions",
    },
    "completions": {
        "0.0.1": (
            "best_of echo frequency_penalty ignore_eos logit_bias logprobs max_tokens model n "
            "presence_penalty prompt stop stream suffix temperature top_k top_p use_beam_search user"
        ),
        "0.2.0": "skip_special_tokens stop_token_ids",
        "0.2.2": "spaces_between_special_tokens",
        "0.2.4": "min_p repetition_penalty",
        "0.3.0": "include_stop_str_in_output length_penalty",
        "0.3.2": "seed",
        "0.3.3": "early_stopping guided_choice guided_json guided_regex",
        "0.4.0": "guided_grammar min_tokens response_format",
        "0.4.1": "guided_decoding_backend truncate_prompt_tokens",
        "0.4.2": "guided_whitespace_pattern",
        "0.5.0": "stream_options",
        "0.5.3": "add_special_tokens",
        "0.5.4": "allowed_token_ids",
        "0.5.5": "prompt_logprobs",
        "0.6.3": "priority",
        "0.6.5": "logits_processors",
        "0.8.0": "return_tokens_as_token_ids",
        "0.9.0": "kv_transfer_params prompt_embeds",
        "0.9.2": "vllm_xargs",
        "0.10.0": "cache_salt",
        "0.10.1": "request_id",
        "0.10.2": "return_token_ids",
        "0.11.0": "structured_outputs",
        "0.11.1": "structural_tag",
        "0.17.0": "repetition_detection",
        "0.22.0": "thinking_token_budget truncation_side",
        "0.25.0": "return_token_offsets",
        "0.26.0": "bad_words ec_transfer_params logprob_token_ids",
        "0.27.0": "stream_interval",
        "0.28.0": "routed_experts_prompt_start session_id",
        "0.30.0": "watermarking",
        "0.32.0": "mm_payload return_mm_kwargs",
        "0.33.0": "return_weight_versions",
    },
    "embeddings": {
        "0.4.3": "additional_data dimensions encoding_format input model user",
        "0.6.3": "priority truncate_prompt_tokens",
        "0.6.4": "add_special_tokens chat_template chat_template_kwargs messages",
        "0.8.0": "mm_processor_kwargs",
        "0.10.1": "normalize request_id",
        "0.10.2": "add_generation_prompt",
        "0.11.1": "embed_dtype endianness",
        "0.14.0": "continue_final_message",
        "0.16.0": "cache_salt use_activation",
        "0.18.0": "media_io_kwargs truncation_side",
        "0.29.0": "padding",
    },
    "responses": {
        "0.10.0": (
            "background cache_salt include input instructions max_output_tokens max_tool_calls metadata "
            "mm_processor_kwargs model parallel_tool_calls previous_response_id priority prompt "
            "reasoning request_id service_tier store stream temperature text tool_choice tools "
            "top_logprobs top_p truncation user"
        ),
        "0.11.0": "enable_response_messages",
        "0.11.1": "previous_input_messages",
        "0.13.0": "logit_bias top_k",
        "0.15.0": "include_stop_str_in_output prompt_cache_key skip_special_tokens",
        "0.16.0": "ignore_eos repetition_penalty seed stop vllm_xargs",
        "0.17.0": "structured_outputs",
        "0.18.0": "media_io_kwargs",
        "0.19.0": "kv_transfer_params",
        "0.20.0": "frequency_penalty presence_penalty",
        "0.22.0": "chat_template_kwargs",
        "0.26.0": "ec_transfer_params include_reasoning",
        "0.28.0": "session_id",
        "0.30.0": "watermarking",
        "0.32.0": "min_p mm_payload return_mm_kwargs stop_token_ids",
        "0.33.0": (
            "prompt_cache_options prompt_cache_retention safety_identifier spaces_between_special_tokens"
        ),
    },
}

# The last release that declares what is gone.
UNTIL: Mapping[RequestKind, Mapping[str, str]] = {
    "chat": {
        "0.6.2": "early_stopping",
        "0.11.2": (
            "best_of guided_choice guided_decoding_backend guided_grammar guided_json guided_regex "
            "guided_whitespace_pattern structural_tag"
        ),
        "0.16.0": "logits_processors",
        "0.30.0": "return_assistant_tokens_mask",
    },
    "completions": {
        "0.6.2": "early_stopping",
        "0.11.2": (
            "best_of guided_choice guided_decoding_backend guided_grammar guided_json guided_regex "
            "guided_whitespace_pattern structural_tag"
        ),
        "0.16.0": "logits_processors",
    },
    "embeddings": {
        "0.9.2": "additional_data",
        "0.16.0": "normalize",
    },
}


def first_release(kind: RequestKind, name: str) -> str:
    """Return the release that brought a parameter; empty where none ever declared it."""
    return FIRST.get((kind, name), "")


def last_release(kind: RequestKind, name: str) -> str:
    """Return the last release that has a parameter; empty where it is still there, or never was."""
    return LAST.get((kind, name), "")


def _by_name(releases: Mapping[RequestKind, Mapping[str, str]]) -> dict[tuple[RequestKind, str], str]:
    return {
        (kind, name): release
        for kind, brought in releases.items()
        for release, names in brought.items()
        for name in names.split()
    }


FIRST = _by_name(SINCE)
LAST = _by_name(UNTIL)
