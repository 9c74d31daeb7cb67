"""Provider plugins that the engine needs and that are not ours."""
