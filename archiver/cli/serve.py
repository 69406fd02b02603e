"""`archiver serve`: the archive as a web page."""

from __future__ import annotations

import sys
from contextlib import suppress
from importlib.abc import MetaPathFinder
from typing import Annotated

import typer

from archiver.base.collector import collector_paused
from archiver.cli.call import Call

_NOT_NEEDED = ("pandas", "IPython")


class _Without(MetaPathFinder):
    """Lets packages not be found that PyArrow, Plotly and Dash load where they are installed."""

    def find_spec(self, fullname: str, *_: object) -> None:  # the class says it
        if fullname in _NOT_NEEDED:
            raise ModuleNotFoundError(f"{fullname} is not needed here", name=fullname)


def serve(
    ctx: typer.Context,
    port: Annotated[
        int, typer.Option("--port", "-p", min=0, max=65535, help="0 takes any free port.")
    ] = 8765,
    open_browser: Annotated[bool, typer.Option("--open", help="Open the page in your browser.")] = False,
    host: Annotated[
        str, typer.Option("--host", help="Address to listen on; any but loopback needs --token.")
    ] = "127.0.0.1",
    token: Annotated[
        str | None,
        typer.Option(
            "--token", envvar="ARCHIVER_SERVE_TOKEN", help="What visitors must know; else the environment's."
        ),
    ] = None,
    name: Annotated[
        list[str] | None,
        typer.Option("--name", help="A further host name that visitors use (behind a proxy, say)."),
    ] = None,
    prefix: Annotated[
        str,
        typer.Option(
            "--prefix", help="Path that a proxy serves the pages below, such as /user/ann/proxy/8765."
        ),
    ] = "",
) -> None:
    """Show the archive as web pages on this machine, read-only, until Ctrl-C.

    Everything comes from installed packages: it works offline. Needs pip install 'archiver[web]'.
    Behind a proxy, say with --name by which host people reach it; --prefix is needed where the proxy
    passes its own path on, and keeps a token's cookie to that path.
    """
    # Together they take half a second and 60 MB.
    sys.meta_path.insert(0, _Without())
    call = Call.of(ctx)
    shown = f"[{host}]" if ":" in host.strip("[]") else host

    def tell(bound: int) -> None:
        address = f"http://{'127.0.0.1' if host in ('0.0.0.0', '::') else shown}:{bound}{prefix.rstrip('/')}/"  # noqa: S104 - shown, not bound
        if call.json:
            call.print_json({"url": address, "archive": archive.store.url})
        else:
            call.say(f"{archive.store.url} on {address} (read-only; Ctrl-C ends)")
            if token:
                call.say(f"open {address}?token=... with the token given")
        if open_browser:
            import webbrowser

            webbrowser.open(address + (f"?token={token}" if token else ""))

    with suppress(KeyboardInterrupt):
        with collector_paused():  # what is loaded stays: to look for garbage in it is in vain
            import pyarrow as pa

            import archiver
            from archiver.errors import ConfigError

            # A server lives long: Arrow's own pool keeps what joining tables took, a third more than the pages need.
            pa.set_memory_pool(pa.system_memory_pool())
            archive = archiver.open(call.url, read_only=True)
            try:
                from archiver.web.server import make_server

                server = make_server(
                    archive, host=host, port=port, token=token, names=name or (), prefix=prefix, bound=tell
                )
            except ImportError as error:
                raise ConfigError(f"serve needs {error.name}: pip install 'archiver[web]'") from None
        server.run()
