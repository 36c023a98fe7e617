"""What is measured on GPUs beside the engine: rates, bytes, profiles, and the bundle for a bare machine."""
