"""`python -m dfer`, the same program as `dfer`."""

import atexit
import os
import signal
import sys

from dfer.runtime.streams import discard_unwritten, escape_unencodable, replace_closed


def main() -> None:
    """Run the command line and leave with its exit code."""
    try:
        replace_closed()
        escape_unencodable()
        from dfer.cli.app import run

        code = run(sys.argv[1:])
    except KeyboardInterrupt:  # before the command had begun
        code = 128 + signal.SIGINT
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # all is written: Ctrl-C need not be reported from here on
    if code > 128:
        # Python would end itself by SIGINT if the signal came while a string was executed, as dataclasses do.
        atexit._run_exitfuncs()
        discard_unwritten()
        os._exit(code)
    sys.exit(code)


if __name__ == "__main__":
    main()
