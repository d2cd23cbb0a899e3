"""The command line: one thin file per subcommand. Heavy packages load inside the commands, so help is quick."""
