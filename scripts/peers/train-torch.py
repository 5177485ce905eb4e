"""One round of bench/train.js by PyTorch on the CPU: prints a line of JSON.

  python scripts/peers/train-torch.py --model mlp|cnn [--seconds 2] [--threads 1] [--variant plain|tuned]

The networks, starting weights and batches are those of bench/train/models.js, made again from the same counters. Needs torch, numpy.
"""

import argparse
import json
import math
import statistics
import time

import numpy as np
import torch
from torch import nn

BATCH, BATCHES, CLASSES, SIDE, CHECKED_STEP = 64, 8, 10, 28, 3


def uniform(seed, count):
    """The finalizer of MurmurHash3 over a counter, as 24-bit fractions."""
    with np.errstate(over="ignore"):
        x = np.arange(count, dtype=np.uint32) + np.uint32(seed * 0x9E3779B9 % 2**32)
        x = (x ^ (x >> np.uint32(16))) * np.uint32(0x85EBCA6B)
        x = (x ^ (x >> np.uint32(13))) * np.uint32(0xC2B2AE35)
    return ((x ^ (x >> np.uint32(16))) >> np.uint32(8)).astype(np.float64) / 2**24


NETS = {
    "mlp": lambda: nn.Sequential(
        nn.Flatten(), nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 128), nn.ReLU(), nn.Linear(128, CLASSES)
    ),
    "cnn": lambda: nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(1568, 64), nn.ReLU(), nn.Linear(64, CLASSES),
    ),
}  # fmt: skip


def start(net):
    """Uniform weights within sqrt(6 / fan-in), zero biases; a dense weight is drawn as [in, out]."""
    for at, parameter in enumerate(net.parameters()):
        shape = parameter.shape if parameter.dim() == 4 else parameter.shape[::-1]
        fan = math.prod(shape[1:]) if parameter.dim() == 4 else shape[0]
        bound = 0 if parameter.dim() == 1 else math.sqrt(6 / fan)
        values = ((2 * uniform(at + 1, math.prod(shape)) - 1) * bound).astype(np.float32).reshape(shape)
        with torch.no_grad():
            parameter.copy_(torch.from_numpy(values if parameter.dim() == 4 else values.T))


def batches(memory_format):
    for at in range(BATCHES):
        images = uniform(100 + at, BATCH * SIDE * SIDE).astype(np.float32).reshape(BATCH, 1, SIDE, SIDE)
        labels = np.floor(uniform(200 + at, BATCH) * CLASSES).astype(np.int64)
        yield torch.from_numpy(images).to(memory_format=memory_format), torch.from_numpy(labels)


def timed(step, seconds):
    """Milliseconds of each step, at least one."""
    times, end = [], time.perf_counter() + seconds
    while not times or time.perf_counter() < end:
        began = time.perf_counter()
        step()
        times.append(1000 * (time.perf_counter() - began))
    return times


def main(wish):
    torch.set_num_threads(wish.threads)
    torch.set_flush_denormal(wish.variant == "tuned")
    layout = torch.channels_last if wish.variant == "tuned" else torch.contiguous_format
    net = NETS[wish.model]()
    start(net)
    net = net.to(memory_format=layout)
    data = list(batches(layout))
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3, fused=wish.variant == "tuned")
    count = 0

    def step():
        nonlocal count
        images, labels = data[count % BATCHES]
        count += 1
        loss = nn.functional.cross_entropy(net(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item()

    began = time.perf_counter()
    loss = step()
    first = 1000 * (time.perf_counter() - began)
    while count < CHECKED_STEP:
        loss = step()
    timed(step, wish.seconds / 2)
    cpu = time.process_time()
    times = timed(step, wish.seconds)
    cpu = time.process_time() - cpu
    print(json.dumps({
        "samplesPerSecond": 1000 * BATCH / statistics.mean(times), "msPerStep": statistics.mean(times),
        "cpuMsPerStep": 1000 * cpu / len(times), "firstMs": first, "steps": len(times), "loss": loss,
    }))  # fmt: skip


parser = argparse.ArgumentParser()
parser.add_argument("--model", choices=NETS, required=True)
parser.add_argument("--seconds", type=float, default=2)
parser.add_argument("--threads", type=int, default=1)
parser.add_argument("--variant", choices=["plain", "tuned"], default="plain")
main(parser.parse_args())
