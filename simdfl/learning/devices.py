"""What a peer's machine costs in simulated time.

Durations in a run come from these profiles, never from the machine that runs the simulation. The figures
are *sustained* rates of small-batch training and single-core cryptography; real machines differ by a
factor of two or three, therefore treat a profile as a scenario and vary it.

Provenance
----------
Cryptography of ``laptop_cpu``: one x86-64 core, BLS12-381 G1 multiplication through arkworks (140 µs),
secp256k1 signature (30 µs) and verification (60 µs) through libsecp256k1, SHA-256 with SHA extensions
(1.4 GB/s). ``server_cpu`` and the GPU hosts use the same code on cores taken as 1.0 and 1.2 times as fast;
``raspberry_pi`` takes a Cortex-A76 as four times slower. Training rates: 50 GFLOP/s is the matrix
multiplication peak of one x86-64 core with AVX2; small dense models sustain about a quarter of peak, which
on 4, 32 and 4 small cores gives the CPU rows. GPU rows take 5 % of the data-sheet dense float32/TF32 peak
(RTX 4090: 83 TFLOP/s; H100 SXM: 495 TFLOP/s in TF32), as small batches leave them mostly idle. In bfloat16 their
data sheets give twice that (165 and 989 TFLOP/s); the CPUs are taken as ones without instructions for it, which
gain nothing.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class DeviceProfile:
    """Cost of a peer's work.

    Parameters
    ----------
    name : str
    flops_per_s : float
        Sustained training rate, operations per second.
    group_exp_s : float
        One multiplication in BLS12-381 G1 by a 255-bit scalar.
    sign_s, verify_s : float
        One signature and one verification.
    hash_bytes_per_s : float
        SHA-256 throughput.
    bfloat16_gain : float
        How many times as fast training is in bfloat16.
    """

    name: str
    flops_per_s: float
    group_exp_s: float
    sign_s: float
    verify_s: float
    hash_bytes_per_s: float
    bfloat16_gain: float = 1.0

    def work_s(self, flops: float) -> float:
        """Return the simulated duration of so many operations."""
        return flops / self.flops_per_s

    def gradient_s(self, flops: float, precision: str) -> float:
        """Return the simulated duration of a forward and backward pass of so many operations."""
        return self.work_s(flops) / (self.bfloat16_gain if precision == "bfloat16" else 1.0)

    def hash_s(self, size_bytes: int) -> float:
        """Return the simulated duration of hashing `size_bytes`."""
        return size_bytes / self.hash_bytes_per_s


def _scaled(name: str, flops_per_s: float, core: float, bfloat16_gain: float = 1.0) -> DeviceProfile:
    """Return a profile whose cryptography runs `core` times as fast as the measured core."""
    times_s = (140e-6 / core, 30e-6 / core, 60e-6 / core)
    return DeviceProfile(name, flops_per_s, *times_s, 1.4e9 * core, bfloat16_gain)


DEVICES: dict[str, DeviceProfile] = {
    profile.name: profile
    for profile in (
        _scaled("raspberry_pi", 5e9, 0.25),
        _scaled("laptop_cpu", 50e9, 1.0),
        _scaled("server_cpu", 400e9, 1.0),
        _scaled("gpu_rtx4090", 4e12, 1.2, 2.0),
        _scaled("gpu_h100", 25e12, 1.2, 2.0),
    )
}
