"""The command ``ntk-air verify``: its options, its processes, what it prints."""
