"""Values of several shapes: pydantic tries each, and what fits none hears a complaint from every one."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from vllm_connect.simulator.requests import fields
from vllm_connect.simulator.requests.fields import Error, Field

# The shapes of a message, each with the fields it misses in a message without a role.
_MESSAGES: Final = (
    ("ChatCompletionDeveloperMessageParam", ("role",)),
    ("ChatCompletionSystemMessageParam", ("role",)),
    ("ChatCompletionUserMessageParam", ("role",)),
    ("ChatCompletionAssistantMessageParam", ("role",)),
    ("ChatCompletionToolMessageParam", ("role", "tool_call_id")),
    ("ChatCompletionFunctionMessageParam", ("name", "role")),
    ("CustomChatCompletionMessageParam", ("role",)),
    ("Message", ("author", "role")),
)


def is_token_ids(value: object) -> bool:
    """Whether this is one prompt given as token ids."""
    return isinstance(value, list) and bool(value) and all(type(item) is int for item in value)


def prompt_errors(name: str, value: Any) -> list[Error]:
    """What is wrong with a value that is neither a text, nor token ids, nor a list of one of these."""
    if isinstance(value, str) or value == [] or is_token_ids(value):
        return []
    if not isinstance(value, list):
        list_error = fields.error("list_type", name, value)
        return [list_error, list_error, fields.error("string_type", name, value), list_error]
    if all(isinstance(item, str) for item in value) or all(is_token_ids(item) for item in value):
        return []
    return _mixed(name, value)


def message_errors(name: str, value: Any) -> list[Error]:
    """What is wrong with a list of messages: what is no object, or the first without a role."""
    if not isinstance(value, list):
        return [fields.error("list_type", name, value)]
    strangers = [
        error
        for place, message in enumerate(value)
        if not isinstance(message, dict)
        for error in _not_a_message(f"{name}.{place}", message)
    ]
    nameless = (
        _without_role(f"{name}.{place}", message)
        for place, message in enumerate(value)
        if isinstance(message, dict) and not isinstance(message.get("role"), str)
    )
    return strangers or next(nameless, [])


def sequence_errors(name: str, value: Any) -> list[Error]:
    """What is wrong with a sequence of conversations."""
    if isinstance(value, str):
        message = "'str' instances are not allowed as a Sequence value"
        return [fields.error("sequence_str", name, value, message, type_name="str")]
    if not isinstance(value, list):
        message = "Input should be an instance of Sequence"
        return [fields.error("is_instance_of", name, value, message, **{"class": "Sequence"})]
    return [
        fields.error("dict_type", f"{name}.{place}", item)
        for place, item in enumerate(value)
        if not isinstance(item, dict)
    ]


def _mixed(name: str, value: Sequence[Any]) -> list[Error]:
    return [
        *(
            fields.error("int_parsing" if isinstance(item, str) else "int_type", f"{name}.{place}", item)
            for place, item in enumerate(value)
            if type(item) is not int
        ),
        *(
            fields.error("list_type", f"{name}.{place}", item)
            for place, item in enumerate(value)
            if not isinstance(item, list)
        ),
        fields.error("string_type", name, value),
        *(
            fields.error("string_type", f"{name}.{place}", item)
            for place, item in enumerate(value)
            if not isinstance(item, str)
        ),
    ]


def _not_a_message(place: str, message: object) -> list[Error]:
    return [
        fields.error(
            "model_attributes_type" if shape == "Message" else "dict_type", f"{place}.{shape}", message
        )
        for shape, _ in _MESSAGES
    ]


def _without_role(place: str, message: Mapping[str, Any]) -> list[Error]:
    return [
        fields.missing(f"{place}.{shape}.{name}", message)
        for shape, names in _MESSAGES
        for name in names
        if name not in message
    ]


def scored_errors(name: str, value: Any) -> list[Error]:
    """What is wrong with a value that is no text to score, no parts of one, and no list of these."""
    if isinstance(value, list) and not any(scored_one_errors("", item) for item in value):
        return []
    errors = scored_one_errors(name, value)
    if not errors:
        return []
    if not isinstance(value, list):
        return [*errors, fields.error("list_type", name, value)]
    of_items = (scored_one_errors(f"{name}.{place}", item) for place, item in enumerate(value))
    return [*errors, *(error for of_one in of_items for error in of_one)]


def scored_one_errors(name: str, value: Any) -> list[Error]:
    """What is wrong with a value that is no text to score, and no parts of one."""
    if isinstance(value, str) or (isinstance(value, dict) and "content" in value):
        return []
    parts = f"{name}.ScoreMultiModalParam"
    if isinstance(value, dict):
        no_parts = fields.missing(f"{parts}.content", value)
    else:
        no_parts = fields.error("dict_type", parts, value)
    return [fields.error("string_type", name, value), no_parts]


_RESPONSE_TOOLS: Final = (
    "function", "custom", "file_search", "web_search", "web_search_preview", "mcp", "code_interpreter",
    "image_generation", "local_shell", "shell", "apply_patch", "container", "computer_use_preview", "namespace",
)  # fmt: skip
# What an item of a response's input may be besides a message.
_RESPONSE_ITEMS: Final = ("function_call", "function_call_output", "reasoning", "item_reference")


def response_input_errors(name: str, value: Any) -> list[Error]:
    """What is wrong with the input of a response: no text, no list, or an item of no kind."""
    if isinstance(value, str):
        return []
    if not isinstance(value, list):
        return [fields.error("string_type", name, value), fields.error("list_type", name, value)]
    strangers = [(place, item) for place, item in enumerate(value) if not _is_response_item(item)]
    if not strangers:
        return []
    # vLLM goes on through all kinds of items of the OpenAI library; these are the first complaints.
    place, item = strangers[0]
    shape = f"{name}.{place}.EasyInputMessageParam"
    if not isinstance(item, dict):
        return [fields.error("string_type", name, value), fields.error("dict_type", shape, item)]
    missing = [fields.missing(f"{shape}.{one}", item) for one in ("content", "role") if one not in item]
    return [fields.error("string_type", name, value), *missing]


_RESPONSE_FORMATS: Final[tuple[tuple[str, str, tuple[str, ...]], ...]] = (
    ("ResponseFormatText", "text", ()),
    ("ResponseFormatTextJSONSchemaConfig", "json_schema", ("name", "schema")),
    ("ResponseFormatJSONObject", "json_object", ()),
)


def response_format_errors(name: str, value: Any) -> list[Error]:
    """What is wrong with the format of a response's text."""
    if value is None:
        return []
    complaints = [
        _format_errors(f"{name}.{shape}", value, kind, required)
        for shape, kind, required in _RESPONSE_FORMATS
    ]
    return [error for of_one in complaints for error in of_one] if all(complaints) else []


def _format_errors(name: str, value: Any, kind: str, required: tuple[str, ...]) -> list[Error]:
    if not isinstance(value, dict):
        return [fields.error("dict_type", name, value)]
    missing = [fields.missing(f"{name}.{one}", value) for one in required if one not in value]
    if value.get("type") == kind:
        return missing
    expected = f"'{kind}'"
    message = f"Input should be {expected}"
    return [
        *missing,
        fields.error("literal_error", f"{name}.type", value.get("type"), message, expected=expected),
    ]


def response_tool_errors(name: str, value: Any) -> list[Error]:
    """What is wrong with a tool of a response: of the complaints of all its kinds the first."""
    shape = f"{name}.FunctionTool"
    if not isinstance(value, dict):
        return [fields.error("model_attributes_type", shape, value)]
    kind = value.get("type")
    if kind in _RESPONSE_TOOLS and (kind != "function" or "name" in value):
        return []
    expected = "'function'"
    message = f"Input should be {expected}"
    return [
        *([] if "name" in value else [fields.missing(f"{shape}.name", value)]),
        *(
            []
            if kind == "function"
            else [fields.error("literal_error", f"{shape}.type", kind, message, expected=expected)]
        ),
    ]


def _is_response_item(item: Any) -> bool:
    if not isinstance(item, dict):
        return False
    return item.get("type") in _RESPONSE_ITEMS or ("role" in item and "content" in item)


def conversations_errors(name: str, value: Any) -> list[Error]:
    """What is wrong with a list of conversations, none of which may be empty."""
    if not isinstance(value, list):
        return [fields.error("list_type", name, value)]
    if not value:
        return [fields.too_short(name, value)]
    return [
        error for place, one in enumerate(value) for error in _conversation_errors(f"{name}.{place}", one)
    ]


def _conversation_errors(name: str, value: Any) -> list[Error]:
    return [fields.too_short(name, value)] if value == [] else message_errors(name, value)


def required_model_errors(name: str, value: Any) -> list[Error]:
    """What is wrong with the name of a model that must be given."""
    if not isinstance(value, str):
        return [fields.error("string_type", name, value)]
    return [] if value else [fields.rejected(name, value, "Model is required")]


def positive_errors(name: str, value: Any) -> list[Error]:
    """What is wrong with a number that must be a positive integer."""
    parsed, errors = fields.check({name: value}, (Field(name, "integer", nullable=False),))
    if errors or parsed[name] > 0:
        return errors
    return [fields.rejected(name, value, f"{name} must be positive")]


_BLOCKS: Final = (
    "text", "image", "tool_use", "tool_result", "tool_reference", "thinking", "redacted_thinking",
    "tool_addition", "tool_removal",
)  # fmt: skip
_BLOCK: Final = (Field("type", "literal", nullable=False, required=True, literals=_BLOCKS),)


def block_errors(name: str, value: Any) -> list[Error]:
    """What is wrong with a text or blocks of content, as Anthropic's API has them."""
    if value is None or isinstance(value, str):
        return []
    no_text = fields.error("string_type", name, value)
    if not isinstance(value, list):
        return [no_text, fields.error("list_type", name, value)]
    wrong = [error for place, block in enumerate(value) for error in _block_errors(f"{name}.{place}", block)]
    return [no_text, *wrong] if wrong else []


def _block_errors(name: str, value: Any) -> list[Error]:
    if not isinstance(value, dict):
        return [fields.error("model_attributes_type", name, value)]
    return fields.check(value, _BLOCK, f"{name}.")[1]


def query_errors(name: str, value: Any) -> list[Error]:
    """What is wrong with a text that may be given as token ids."""
    if isinstance(value, str) or is_token_ids(value) or value == []:
        return []
    return [fields.error("string_type", name, value), fields.error("list_type", name, value)]


def items_errors(name: str, value: Any) -> list[Error]:
    """What is wrong with a list of texts, or of token ids."""
    if isinstance(value, list) and not any(query_errors("", item) for item in value):
        return []
    if isinstance(value, list):
        return _mixed(name, value)
    return [fields.error("list_type", name, value)] * 2
