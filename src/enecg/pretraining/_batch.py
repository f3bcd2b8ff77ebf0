"""What one step of a training looks at."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor


@dataclass(frozen=True)
class Batch:
    """Some windows, and what is known of them.

    x : [window, lead, sample], NaN where missing, after augmentation;  windows : int [window], which of the corpus;
    subjects : int [window], a number for each;  targets : by task, [window, output], NaN where not known;
    taught : by task, what a teacher answers, as `targets`;  generator : of all that an objective does at random.
    """

    x: Tensor
    windows: Tensor
    subjects: Tensor
    targets: Mapping[str, Tensor]
    taught: Mapping[str, Tensor]
    generator: torch.Generator

    def __len__(self) -> int:
        return len(self.x)

    def take(self, places: Tensor) -> "Batch":
        """Only the windows at these places."""
        return replace(
            self,
            x=self.x[places],
            windows=self.windows[places],
            subjects=self.subjects[places],
            targets={name: column[places] for name, column in self.targets.items()},
            taught={name: column[places] for name, column in self.taught.items()},
        )
