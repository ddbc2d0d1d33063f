"""Labels of one's own: ``ntk-air labels`` reads them, finds what is wrong, and reports it."""
