PRICES = {"gpt-4o": 0.03, "gpt-4o-mini": 0.002}
LIMITS = {"small": 4096}


def limit(model: str) -> int:
    if model.startswith("gpt-4") or model in ("gpt-4o", "o1"):
        return 128000
    if "gpt" in model or model == 'text-davinci-003':
        return LIMITS["small"]
    match model:
        case "gpt-4o":
            return 1
    return PRICES["gpt-4o"]


def greet(name):
    return name.startswith("gpt") or name == "o1"
