"""The command line: parses and prints; no science.

May know: study, report and demo, imported inside the commands. ``main`` turns errors into exit codes: 0 done, 2 the
input is wrong, 3 check stopped the run, 1 our own failure, 130 stopped by Ctrl-C.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> None:
    """The ``cohortium`` command; always leaves by ``SystemExit``.

    arguments: default ``sys.argv``. With ``--json`` an error is one JSON object on standard output too:
    ``{"error": {"kind", "message"}, "exit_code"}``. ``--debug`` may stand anywhere.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in given
    if debug:
        given = ["--debug", *(a for a in given if a != "--debug")]
    # A terminal that lacks a sign (− in cp1252) shows another; it is no reason to lose an answer.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    try:
        from cohortium.cli.federate import app

        app(args=given, prog_name="cohortium")
    except KeyboardInterrupt:
        print("\nStopped.", file=sys.stderr)
        sys.exit(130)
    except Exception as e:
        sys.exit(_failed(e, "--json" in given, debug))


def _failed(e: Exception, as_json: bool, debug: bool) -> int:
    from cohortium.errors import ChecksFailed, UserError

    code = 3 if isinstance(e, ChecksFailed) else 2 if isinstance(e, UserError) else 1
    message = str(e) or type(e).__name__
    if debug:
        import traceback

        traceback.print_exc()
    elif code == 1:
        print(
            f"cohortium failed: {type(e).__name__}: {message}\n"
            "This is our failure, not yours. Call again with --debug for the traceback, and report it.",
            file=sys.stderr,
        )
    else:
        print(f"Error: {message}", file=sys.stderr)
    if as_json:
        import json

        print(json.dumps({"error": {"kind": type(e).__name__, "message": message}, "exit_code": code}))
    return code
