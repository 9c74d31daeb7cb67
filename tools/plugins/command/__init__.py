"""A stand-in for pulumi-command's plugin: `local.Command` alone, for machines that cannot fetch the official one."""
