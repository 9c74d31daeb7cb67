"""What an environment is: settings, program, outputs, and the commands behind make."""
