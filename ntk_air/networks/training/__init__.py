"""Training of finite networks."""
