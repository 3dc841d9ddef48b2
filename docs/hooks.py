"""For mkdocs: links to files outside docs/ lead to GitHub, and a page of every command's help is made."""

from __future__ import annotations

import re
from typing import Any

from mkdocs.structure.files import File

REPOSITORY = "https://github.com/edge-nima/edge-nima/blob/main/"
COMMANDS = "commands.md"


def on_files(files: Any, config: Any) -> Any:
    """Add the page of commands."""
    files.append(File.generated(config, COMMANDS, content=commands()))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Rewrite links that leave docs/; on GitHub they lead where they say."""
    return re.sub(r"\]\(\.\./(?!\.\./)", f"]({REPOSITORY}", markdown)


def commands() -> str:
    """Every command from its own help, as Markdown."""
    from edge_nima import cli

    parts = ["# Commands\n\nWhat `--help` says of each; `edge-nima --version` prints the version.\n"]

    def describe(command: Any, name: str) -> None:
        context = command.context_class(command, info_name=name)
        if hasattr(command, "commands"):
            for word in sorted(command.commands):
                _, found, _ = command.resolve_command(context, [word])
                describe(found, f"{name} {word}")
            return
        parts.append(f"## {name}\n\n{_plain(command.help or '')}\n\n```text\n{name} {_usage(command, context)}\n```\n")
        rows = [_row(parameter, context) for parameter in command.params if parameter.name != "help"]
        parts.append("| argument or option | what it does |\n|---|---|\n" + "".join(row for row in rows if row))

    for name in sorted(cli.COMMANDS):
        describe(cli.command(name), f"edge-nima {name}")
    return "\n".join(parts)


def _usage(command: Any, context: Any) -> str:
    return " ".join(command.collect_usage_pieces(context))


def _row(parameter: Any, context: Any) -> str:
    names = ", ".join(f"`{name}`" for name in parameter.opts) if parameter.param_type_name == "option" else ""
    told = getattr(parameter, "help", None) or ""
    shown = names or f"`{parameter.make_metavar(context)}`"
    return f"| {shown} | {_plain(told)} |\n"


def _plain(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip().replace("|", "\\|").replace("<", "&lt;")
