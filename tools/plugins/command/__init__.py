"""A stand-in for pulumi-command's plugin: `local.Command` only, for machines that cannot download the official one."""
