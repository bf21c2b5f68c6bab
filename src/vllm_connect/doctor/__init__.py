"""What is wrong between a set-up and a first good answer, and the fix; `vllm-connect doctor` shows it."""

from vllm_connect.doctor.examination import examination
from vllm_connect.doctor.remedy import set_up

__all__ = ["examination", "set_up"]
