"""The laboratory around the library: configurations, run folders, provenance, figures."""
