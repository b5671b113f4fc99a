"""Which device PyTorch's subjects have and what they took of it, in any environment with torch."""

from typing import Any

import torch

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


def used(device: torch.device = DEVICE) -> dict[str, Any]:
    """The device that was used and, of a GPU, how much of its memory was taken at the most."""
    if device.type == "cpu":
        return {"device": "cpu"}
    return {
        "device": f"gpu ({torch.cuda.get_device_name(device)})",
        "device_peak_mb": torch.cuda.max_memory_allocated(device) / 1e6,
    }
