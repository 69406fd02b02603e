"""What an archive's objects hold: keys, values, and their encoding to bytes and back."""
