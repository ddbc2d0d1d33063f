"""Numbers that other people published, computed anew beside theirs."""
