"""The loop that a tutorial has, for P1 and P2: eager, one thread, the data in memory, no loss kept.

    python textbook.py DATA.npz SEED LR      one job, and the process ends (P2)
    python textbook.py DATA.npz              jobs as lines "SEED LR" on stdin, for ever (P1)

Prints the mean loss of the last 50 iterations of each.
"""

import sys
from pathlib import Path

import numpy as np
import torch
from torch import nn

ITERATIONS, BATCH = 2000, 32


def trained(x: torch.Tensor, y: torch.Tensor, seed: int, lr: float) -> float:
    """One job."""
    torch.manual_seed(seed)
    network = nn.Sequential(
        nn.Linear(20, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 3)
    )
    optimizer = torch.optim.Adam(network.parameters(), lr=lr)
    criterion, last = nn.CrossEntropyLoss(), list[torch.Tensor]()
    done = 0
    while done < ITERATIONS:
        for rows in torch.randperm(len(x)).split(BATCH)[: ITERATIONS - done]:
            optimizer.zero_grad()
            loss = criterion(network(x[rows]), y[rows])
            loss.backward()
            optimizer.step()
            done += 1
            if done > ITERATIONS - 50:
                last.append(loss.detach())
    return float(torch.stack(last).mean())


def main() -> None:
    """As the arguments say."""
    torch.set_num_threads(1)
    data = np.load(Path(sys.argv[1]))
    x, y = torch.from_numpy(data["x"]).float(), torch.from_numpy(data["y"])
    if len(sys.argv) > 2:
        print(trained(x, y, int(sys.argv[2]), float(sys.argv[3])))
        return
    print("warm" if trained(x, y, 0, 1e-3) else "", flush=True)
    for line in sys.stdin:
        seed, lr = line.split()
        print(trained(x, y, int(seed), float(lr)), flush=True)


if __name__ == "__main__":
    main()
