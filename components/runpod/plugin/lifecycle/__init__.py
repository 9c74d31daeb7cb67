"""Creation without doubles, deletion with proof."""
