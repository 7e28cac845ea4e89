"""docs/images/demo.jpg: one picture of the frozen policy alone and one of the same policy steered, from a demo's film.

`python docs/figures/demo_still.py [runs/<stamp>] [first second]`; by default the newest run that has a film, at a third
and at two thirds of it.
"""

from __future__ import annotations

import sys
from pathlib import Path

import imageio.v3 as iio
import numpy as np

ROOT = Path(__file__).resolve().parent.parent.parent


def newest_run() -> Path | None:
    """The newest folder of runs/ with a film."""
    films = sorted((ROOT / "runs").glob("*/video.mp4"), key=lambda path: path.stat().st_mtime)
    return films[-1].parent if films else None


def main(arguments: list[str]) -> None:
    """Write the picture."""
    run = Path(arguments[0]) if arguments else newest_run()
    if run is None:
        print("no film in runs/: `make demo` makes one")
        return
    shares = [float(share) for share in arguments[1:3]] or [0.33, 0.66]
    frames = iio.imread(run / "video.mp4")
    chosen = [frames[round(share * (len(frames) - 1))] for share in shares]
    still = np.concatenate(chosen, axis=1)
    target = ROOT / "docs" / "images" / "demo.jpg"
    target.parent.mkdir(exist_ok=True)
    iio.imwrite(target, still, quality=85)
    print(f"{target.relative_to(ROOT)} from {run}")


if __name__ == "__main__":
    main(sys.argv[1:])
