"""The words of the reward language; a new word is one entry in one of these tables."""

from vls_steering.rewards.language import Vocabulary
from vls_steering.rewards.words.conditions import CONDITION_WORDS
from vls_steering.rewards.words.gripper import GRIPPER_WORDS
from vls_steering.rewards.words.points import DIRECTIONS, POINT_WORDS
from vls_steering.rewards.words.signals import SIGNAL_WORDS

VOCABULARY = Vocabulary((*POINT_WORDS, *SIGNAL_WORDS, *CONDITION_WORDS, *GRIPPER_WORDS))

__all__ = ["DIRECTIONS", "VOCABULARY"]
