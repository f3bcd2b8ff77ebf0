"""Experts of our own: small networks for twelve leads or fewer, trained by `enecg.pretraining`. One file for each."""

from enecg.experts.learned._expert import Learned
from enecg.experts.learned._tokens import TokenNetwork, filled, summary

__all__ = ["Learned", "TokenNetwork", "filled", "summary"]
