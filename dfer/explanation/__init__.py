"""The places in a face and the times in a video that a model's answer comes from."""
