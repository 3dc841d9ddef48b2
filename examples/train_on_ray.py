"""Train a network with several processes on a Ray cluster: `python train_on_ray.py CONFIG RUN PROCESSES [GPUS_EACH]`.

CONFIG and the packed photographs that it names must be readable on every node; RUN is written on that of process 0.
Without GPUs each process takes one core. Needs `pip install 'edge-nima[train]' ray jax`.
"""

import os
import socket
import sys
from pathlib import Path

import ray

from edge_nima_train import read_config
from edge_nima_train.fit import Watch, fit


@ray.remote
class Process:
    """One process of the run."""

    def address(self) -> str:
        """Where the others find this one, if it is the first."""
        with socket.socket() as free:
            free.bind(("", 0))
            return f"{ray.util.get_node_ip_address()}:{free.getsockname()[1]}"

    def train(self, config: str, run: str, address: str, count: int, index: int) -> None:
        """Take part."""
        os.environ["KERAS_BACKEND"] = "jax"
        os.environ["KERAS_DISTRIBUTION_JOB_ADDRESSES"] = address
        os.environ["KERAS_DISTRIBUTION_NUM_PROCESSES"] = str(count)
        os.environ["KERAS_DISTRIBUTION_PROCESS_ID"] = str(index)
        fit(read_config(config), Path(run), watch=Watch(told=print))


if __name__ == "__main__":
    config, run, count, *gpus = sys.argv[1:]
    ray.init()
    processes = [Process.options(num_cpus=1, num_gpus=float(*gpus or [0])).remote() for _ in range(int(count))]
    address = ray.get(processes[0].address.remote())
    run = str(Path(run).resolve())
    ray.get([one.train.remote(config, run, address, len(processes), i) for i, one in enumerate(processes)])
