"""Train a peer: ``python -m tina_peers.train NAME --dataset DATA --zoo ZOO --encoder ENCODER --out DIR``.

DIR becomes the folder of the peer, and ``tina evaluate --methods NAME@DIR`` measures it. A stopped run continues if the
same command is given again. Gains are measured on validation tasks and validation pictures; no test picture is read.
"""

from __future__ import annotations

import argparse
import platform
import shlex
import sys
import traceback
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import torch

from tina_framework.errors import ConfigError, explain, printable
from tina_framework.evaluation.paths import without_folders
from tina_peers.catalogue import PEERS, peer_class
from tina_peers.recipe import PeerSettings, Recipe, field_types
from tina_peers.setup import Setup
from tina_peers.training import train

__all__ = ["main", "parse", "program"]

MAX_TASKS = 200


def _switch(text: str) -> bool:
    if text not in ("true", "false"):
        raise argparse.ArgumentTypeError(f"'{text}' is neither true nor false")
    return text == "true"


def parse(words: Sequence[str]) -> tuple[argparse.Namespace, PeerSettings, Recipe]:
    """Read the command line: the first word is the peer, on which the settings depend.

    Raises:
        ConfigError: no peer is named, or a setting is out of range.
        UnknownNameError: there is no such peer.
    """
    names = "\n".join(f"  {name}: {entry.summary}" for name, entry in PEERS.items())
    parser = argparse.ArgumentParser(
        prog="python -m tina_peers.train", description=f"{__doc__}\npeers:\n{names}", allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("name", metavar="NAME", help="the peer; `NAME --help` shows its settings")
    if not words or words[0].startswith("-"):
        if "-h" in words or "--help" in words:
            parser.print_help()
            sys.exit(0)
        raise ConfigError(f"Name a peer first: {', '.join(PEERS)}.")
    found = peer_class(words[0])
    parser.add_argument("--dataset", required=True, help="the data set, such as arrays:cifar100.npz")
    parser.add_argument("--zoo", required=True, help="folder or registered name of a zoo")
    parser.add_argument("--encoder", default="clip-lite", help="the text encoder (default: %(default)s)")
    parser.add_argument("--out", type=Path, required=True, help="the folder to write")
    parser.add_argument("--tasks", type=int, default=100, help="number of validation tasks (default: %(default)s)")
    parser.add_argument("--classes", type=int, default=10, help="their class count (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=1, help="threads on a CPU (default: %(default)s)")
    parser.add_argument("--device", default="cpu", help="cpu, cuda, mps or auto (default: %(default)s)")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    for title, kind, start in (
        ("settings of the peer", found.settings_class, None),
        ("training", Recipe, found.recipe),
    ):
        group, types = parser.add_argument_group(title), field_types(kind)
        for field in fields(kind):
            value = field.default if start is None else getattr(start, field.name)
            read = _switch if types[field.name] is bool else types[field.name]
            group.add_argument(f"--{field.name}", type=read, default=value, help=f"(default: {value})")
    args = parser.parse_args(list(words))
    if not 1 <= args.tasks <= MAX_TASKS:
        raise ConfigError(f"--tasks is {args.tasks}; choose from 1 to {MAX_TASKS} validation tasks.")
    if args.threads < 1:
        raise ConfigError(f"--threads is {args.threads}; choose at least 1.")
    settings = found.settings_class(**{field.name: getattr(args, field.name) for field in fields(found.settings_class)})
    recipe = Recipe(**{field.name: getattr(args, field.name) for field in fields(Recipe)})
    return args, settings, recipe


def main(words: Sequence[str]) -> None:
    """Train the peer that the words of a command line describe."""
    args, settings, recipe = parse(words)
    torch.set_num_threads(args.threads)
    kind = peer_class(args.name)
    setup = Setup(
        kind,
        recipe,
        dataset=args.dataset,
        zoo=args.zoo,
        encoder=args.encoder,
        tasks=args.tasks,
        classes=args.classes,
        threads=args.threads,
        device=args.device,
    )
    peer = setup.peer(kind, settings)
    told = [shlex.quote(without_folders(word)) for word in words if word != "--debug"]
    record: dict[str, Any] = {
        "command": f"python -m tina_peers.train {' '.join(told)}",
        "zoo": setup.zoo.folder.name,
        "p_models": len(setup.zoo),
        "encoder": args.encoder,
        "settings": asdict(settings),
        "torch": torch.__version__,
        "machine": platform.machine(),
    }
    train(peer, setup, args.out, record)


def program(words: Sequence[str]) -> int:
    """Run `main`, print the message of an error on standard error, and return the exit code."""
    try:
        main(words)
    except (Exception, KeyboardInterrupt) as error:
        if "--debug" in words:
            traceback.print_exc()
        sentence, code = explain(error)
        print(printable(sentence), file=sys.stderr)
        return code
    return 0


if __name__ == "__main__":
    sys.exit(program(sys.argv[1:]))
