"""How many files a process may open, asked before mlx-lm is imported.

That sets limits of its own and ends the import where the system refuses them, without a word on what to do.
"""

from __future__ import annotations

import resource

from forgellm.domain.errors import ForgeError

_WANTED = 4096
"""The hard limit that mlx-lm sets."""


class TooFewOpenFiles(ForgeError):
    """This process may open fewer files than mlx-lm asks for."""

    code = "TOO_FEW_OPEN_FILES"


def check_open_files() -> None:
    """Raises TooFewOpenFiles where mlx-lm could not be imported."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY or hard >= _WANTED:
        return
    try:
        # Who may raise it, as root, is not stopped.
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, _WANTED))
    except (ValueError, OSError) as error:
        raise TooFewOpenFiles(
            f"no more than {hard} files may be open at once, and mlx-lm asks for {_WANTED:,}",
            details={"limit": hard, "needed": _WANTED},
            suggestion=f"Raise the hard limit where ForgeLLM is started (`ulimit -Hn {_WANTED}`, "
            f"LimitNOFILE={_WANTED} of a service, --ulimit nofile={_WANTED} of a container), and start it "
            "again.",
        ) from error
