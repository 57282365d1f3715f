"""Draw the diagrams of the documents as SVG: the pipeline of the README, the data flow, and the denoiser.

``python docs/images/drawings.py`` writes the files beside this script.
"""

from __future__ import annotations

from html import escape
from pathlib import Path

INK, FAINT, LINE = "#1f2933", "#52606d", "#7b8794"
TRAINED, INPUT, OUTPUT = "#dbeafe", "#f5f7fa", "#dcfce7"


def text(
    x: float, y: float, words: str, size: int = 15, colour: str = INK, weight: str = "normal", anchor: str = "middle"
) -> str:
    return (
        f'<text x="{x:g}" y="{y:g}" font-size="{size}" fill="{colour}" font-weight="{weight}" '
        f'text-anchor="{anchor}">{escape(words)}</text>'
    )


def box(x: float, y: float, width: float, height: float, fill: str, title: str, *notes: str) -> str:
    """Draw a rounded box around a title and smaller lines below it."""
    top = y + height / 2 + 5 - 9 * len(notes)
    size = 15 if len(title) < 17 else 14
    parts = [
        f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="8" fill="{fill}" stroke="{LINE}"/>',
        text(x + width / 2, top, title, size, weight="bold"),
        *(text(x + width / 2, top + 19 * number, note, 13, FAINT) for number, note in enumerate(notes, start=1)),
    ]
    return "\n".join(parts)


def arrow(*points: tuple[float, float]) -> str:
    path = " L ".join(f"{x:g} {y:g}" for x, y in points)
    return f'<path d="M {path}" fill="none" stroke="{INK}" stroke-width="1.5" marker-end="url(#head)"/>'


def dashed(x: float, y: float, width: float, height: float) -> str:
    return (
        f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="12" fill="none" stroke="{LINE}" '
        'stroke-dasharray="5 4"/>'
    )


def row(y: float, *boxes: tuple[str, ...], skip: tuple[int, ...] = (), height: float = 76) -> list[str]:
    """Draw boxes of (fill, title, *notes) in five columns, each with an arrow from the one before unless `skip` names it."""
    parts = []
    for column, words in enumerate(boxes):
        parts.append(box(20 + 200 * column, y, 160, height, *words))
        if column and column not in skip:
            parts.append(arrow((200 * column - 20, y + height / 2), (20 + 200 * column, y + height / 2)))
    return parts


def picture(width: float, height: float, title: str, description: str, *parts: str) -> str:
    """Return the SVG document."""
    first = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:g}" height="{height:g}" viewBox="0 0 {width:g} {height:g}" '
        'font-family="Helvetica, Arial, DejaVu Sans, sans-serif" role="img">',
        f"<title>{escape(title)}</title>",
        f"<desc>{escape(description)}</desc>",
        f'<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" orient="auto">'
        f'<path d="M 0 0 L 8 4 L 0 8 z" fill="{INK}"/></marker></defs>',
        # A ground of its own, as the page may be dark.
        f'<rect width="{width:g}" height="{height:g}" fill="#ffffff"/>',
    ]
    return "\n".join([*first, *parts, "</svg>"]) + "\n"


def pipeline() -> str:
    """Return the picture of the README: from class names to a classifier."""
    return picture(
        960,
        350,
        "From class names to a classifier",
        "An encoder turns each class name into a vector. A denoiser and a scheduler turn noise and these vectors "
        "into the weights of a small network in two steps. The network labels pictures.",
        box(20, 60, 150, 76, INPUT, "class names", "apple, bear, bus"),
        box(220, 60, 170, 76, TRAINED, "encoder", "one vector per class"),
        box(20, 218, 150, 76, INPUT, "noise", "drawn from a seed"),
        dashed(440, 44, 270, 266),
        text(575, 332, "repeated: 2 steps by default", 13, FAINT),
        box(460, 60, 230, 76, TRAINED, "denoiser", "transformer that predicts", "the clean weights"),
        box(460, 218, 230, 76, INPUT, "scheduler", "moves the noisy weights", "towards the prediction"),
        box(760, 60, 180, 76, OUTPUT, "small network", "3 classes: 5,139 weights"),
        box(760, 218, 180, 76, INPUT, "picture", "32 x 32 pixels"),
        arrow((170, 98), (220, 98)),
        arrow((390, 98), (460, 98)),
        arrow((170, 256), (460, 256)),
        arrow((545, 218), (545, 136)),
        text(503, 172, "noisy", 13, FAINT),
        text(503, 189, "weights", 13, FAINT),
        arrow((605, 136), (605, 218)),
        text(653, 182, "prediction", 13, FAINT),
        arrow((690, 256), (728, 256), (728, 98), (760, 98)),
        text(767, 172, "finished", 13, FAINT),
        text(767, 189, "weights", 13, FAINT),
        arrow((850, 218), (850, 136)),
        arrow((850, 60), (850, 34)),
        text(850, 24, '"bus"'),
    )


def data_flow() -> str:
    """Return what flows through the package when it generates, exports, trains and evaluates."""

    def heading(y: float, words: str) -> str:
        return text(20, y, words, 16, weight="bold", anchor="start")

    return picture(
        1000,
        762,
        "What flows through the package",
        "To generate, an encoder, the condition space and the denoiser's encoder turn class names into encoded classes. The "
        "denoiser and the scheduler turn noise into tokens step by step. The token layout and the normalizer turn these into "
        "the parameters of a classifier. To export, an exporter writes a file, which is loaded again and compared. To train, "
        "tasks of a data set make a zoo, and objectives on zoo and pictures train a generator. To evaluate, a generator, a "
        "data set and a task file pass a check of leakage, and methods are measured on tasks.",
        heading(30, "Generate"),
        *row(
            46,
            (INPUT, "class names", "K texts or pictures"),
            (TRAINED, "Encoder", "vectors (K, E)"),
            (INPUT, "ConditionSpace", "conditioning vectors"),
            (TRAINED, "Denoiser.encode", "once per prompt"),
            (INPUT, "EncodedClasses", "K class vectors"),
        ),
        arrow((900, 122), (900, 152), (300, 152), (300, 190)),
        dashed(208, 170, 384, 138),
        *row(
            190,
            (INPUT, "noise", "x_T (B, P, D)"),
            (TRAINED, "Denoiser.denoise", "prediction from x_t"),
            (INPUT, "NoiseScheduler", "step: a cleaner x_t"),
            (INPUT, "TokenLayout", "and Normalizer:", "parameters (B, N)"),
            (OUTPUT, "GeneratedClassifier", "TargetArchitecture,", "built for K classes"),
        ),
        arrow((500, 266), (500, 286), (300, 286), (300, 266)),
        text(400, 302, "every step", 13, FAINT),
        heading(346, "Export"),
        *row(
            362,
            (OUTPUT, "GeneratedClassifier"),
            (INPUT, "ExportSource", "one module,", "class names"),
            (INPUT, "Exporter", "write"),
            (INPUT, "comparison", "loaded again:", "same answers?"),
            (OUTPUT, "file or folder", "moved into its place"),
        ),
        heading(476, "Train"),
        *row(
            492,
            (INPUT, "Dataset", "pictures and labels"),
            (INPUT, "TaskSampler", "tasks"),
            (INPUT, "zoo builder", "generic model,", "p-Models"),
            (TRAINED, "objectives", "denoise, task"),
            (OUTPUT, "training loop", "checkpoints,", "generator folder"),
        ),
        arrow((100, 568), (100, 588), (700, 588), (700, 568)),
        text(400, 604, "pictures", 13, FAINT),
        heading(650, "Evaluate"),
        *row(
            666,
            (INPUT, "generator", "with Dataset", "and task file"),
            (INPUT, "leakage check", "tasks are unseen"),
            (INPUT, "methods", "each on each task"),
            (OUTPUT, "results", "results.json, .md,", "tasks.json"),
        ),
    )


def denoiser() -> str:
    """Return the two parts of the denoiser."""
    return picture(
        1000,
        352,
        "The two parts of the denoiser",
        "Encode, once per prompt: a linear layer and encoder blocks over the classes turn conditioning vectors into class "
        "vectors. Denoise, in every step: decoder blocks read a timestep, the class vectors and the parameter tokens. A linear "
        "layer turns the last tokens into the prediction. Forecasts from the conditioning vectors are added to it.",
        text(20, 30, "encode, once per prompt", 16, weight="bold", anchor="start"),
        *row(
            46,
            (INPUT, "conditioning vectors", "(B, K, E)"),
            (TRAINED, "Linear", "(B, K, H)"),
            (TRAINED, "encoder blocks", "over the classes"),
            (INPUT, "class vectors", "(B, K, H)"),
        ),
        arrow((700, 122), (700, 160), (300, 160), (300, 222)),
        arrow((100, 122), (100, 180), (900, 180), (900, 222)),
        text(640, 198, "pooled forecast of the shared tokens, skip to the class rows", 13, FAINT),
        text(20, 206, "denoise, every step", 16, weight="bold", anchor="start"),
        *row(
            222,
            (INPUT, "parameter tokens", "x_t (B, P, D)"),
            (INPUT, "sequence", "timestep, K class", "vectors, P tokens"),
            (TRAINED, "decoder blocks", "their last P outputs"),
            (TRAINED, "Linear", "one for each", "token group"),
            (OUTPUT, "prediction", "(B, P, D)"),
        ),
        text(500, 332, "blue: trained", 13, FAINT),
    )


DRAWINGS = {"pipeline.svg": pipeline, "data-flow.svg": data_flow, "denoiser.svg": denoiser}

if __name__ == "__main__":
    for name, draw in DRAWINGS.items():
        (Path(__file__).parent / name).write_text(draw(), encoding="utf-8")
