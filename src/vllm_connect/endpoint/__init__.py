"""One server address as a value, and the only place where addresses and keys are judged."""

from vllm_connect.endpoint.address import Endpoint, parse_endpoint
from vllm_connect.endpoint.key import Hidden, Key, may_travel_in_clear
from vllm_connect.endpoint.tls import Tls

__all__ = ["Endpoint", "Hidden", "Key", "Tls", "may_travel_in_clear", "parse_endpoint"]
