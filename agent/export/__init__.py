"""How much may still leave the house: pure decisions, and the one loop that carries them out."""
