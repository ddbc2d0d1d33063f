"""The command ``ntk-air report``: one page about data and their kernel, or about a finished run."""
