"""How experiments run: cases in processes of their own, alternating arms, where and when, the store."""
