"""Where lines go."""
