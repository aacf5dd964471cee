"""Co-design of quantized networks and FPGA firmware for trigger-level inference."""

__version__ = "0.1.0"
