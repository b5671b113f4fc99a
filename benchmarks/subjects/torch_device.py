"""Which device PyTorch's subjects have and what they took of it, in any environment with torch."""

from typing import Any

import torch

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


def used() -> dict[str, Any]:
    """Where tensors lie, and, on a GPU, how much of its memory they took at the most."""
    if DEVICE.type == "cpu":
        return {"device": "cpu"}
    return {
        "device": f"gpu ({torch.cuda.get_device_name(DEVICE)})",
        "device_peak_mb": torch.cuda.max_memory_allocated(DEVICE) / 1e6,
    }
