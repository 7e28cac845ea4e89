"""The phrases that the offline grammar knows, as data: groups of synonyms and what they mean."""

from __future__ import annotations

from types import MappingProxyType

Phrases = MappingProxyType[tuple[str, ...], str]


def _table(rows: dict[str, str]) -> Phrases:
    """meaning -> "phrase | phrase | ...", turned round."""
    return MappingProxyType(
        {tuple(phrase.split()): meaning for meaning, group in rows.items() for phrase in group.split("|")}
    )


# --- what to do

VERBS = _table(
    {
        "pick": "pick up | pick | lift up | lift | grab | grasp | take | raise | get | fetch | hold | hold up"
        " | take hold of | get hold of | picking up | lifting | grabbing | grasping | taking | pick me up | get me"
        " | fetch me | hand me",
        "put": "put down | put | place | set down | set | move | bring | carry | stack | lay | drop | transfer"
        " | putting | placing | setting | moving | bringing | carrying | stacking | laying | dropping",
        "push": "push | shove | slide | nudge | pushing | shoving | sliding | nudging",
        "press": "press | tap | hit | press down | press down on | push down on | pressing | tapping",
        "open": "open | pull open | pull out | pull | open up | slide open | opening | pulling",
        "close": "close | shut | push shut | push closed | closing | shutting",
        "go": "go | hover | travel | fly | go to | hovering | move to | move the hand | move your hand"
        " | move the gripper | move the arm | move the end effector | position the hand | position the gripper"
        " | bring the hand | bring the gripper | go with the hand",
        "open the hand": "open the hand | open your hand | open the gripper | open your gripper | open the fingers"
        " | let go",
        "close the hand": "close the hand | close your hand | close the gripper | close your gripper"
        " | close the fingers | make a fist",
    }
)
# "take it to the plate", but not "take the cube on the plate": that says which cube.
CARRYING_TO = _table({"on": "to | onto | over to", "in": "into"})

RELATIONS = _table(
    {
        "on": "on top of | onto | on to | on | over to | to | upon | at | over | back on | back to",
        "in": "in | into | inside | inside of | back in | back into",
        "left of": "to the left of | left of | on the left of | on the left side of | to the left side of"
        " | at the left of",
        "right of": "to the right of | right of | on the right of | on the right side of | to the right side of"
        " | at the right of",
        "in front of": "in front of",
        "behind": "behind | in back of | at the back of | to the back of",
        "next to": "next to | beside | alongside | right next to | near | near to | close to | by the side of"
        " | right beside",
        "between": "between | in between | to between",
        "above": "above | to above",
    }
)
ABOVE = _table({"above": "above | over | over the top of | right above | directly above | straight above | right over"})
TOWARDS = _table(
    {
        "forward": "forward | forwards | away | ahead | away from you | away from the robot | to the front",
        "backward": "backward | backwards | back | towards you | towards the robot | closer | to the back",
        "left": "left | to the left | leftwards | to your left",
        "right": "right | to the right | rightwards | to your right",
    }
)
OPENED = _table({"open": "open", "close": "shut | closed | close"})
TIMES = _table({"2": "twice | two times", "3": "three times | thrice"})

# --- what holds all along

# Up to the object, without a distance ...
AVOIDS = _table(
    {
        "avoid": "stay clear of | keep clear of | steer clear of | staying clear of | keeping clear of | clear of"
        " | stay away from | keep away from | staying away from | keeping away from | away from | avoid | avoiding"
        " | mind | watch out for | go around | going around | move around | moving around | do not touch"
        " | don't touch | without touching | not touching | do not hit | don't hit | without hitting | not hitting"
        " | never touch | do not bump into | don't bump into | without bumping into | do not knock over"
        " | don't knock over | without knocking over | do not knock | don't knock | do not come near"
        " | don't come near | without disturbing | do not disturb | don't disturb | do not go near | don't go near",
    }
)
# ... and around a distance: "keep | at least | 5 cm | away from".
KEEPS = _table({"keep": "keep | stay | keeping | staying | leave | remain | leaving | remaining"})
AT_LEAST = _table({"at least": "at least | a minimum of | more than | a distance of | at a distance of"})
AWAY = _table(
    {
        "from": "away from | clear of | from | of space to | distance from | distance to | off | of distance from"
        " | of distance to",
    }
)
UPRIGHT = _table({"upright": "upright | level | vertical | straight up | the right way up"})
NO_TILT = _table(
    {
        "upright": "without spilling anything | without spilling it | without spilling | don't spill anything"
        " | don't spill it | don't spill | do not spill anything | do not spill it | do not spill"
        " | without tilting it | without tilting | don't tilt it | do not tilt it | without tipping it"
        " | don't tip it | upright",
    }
)
BELOW = _table({"below": "below | under | lower than | beneath | no higher than | at most"})
HIGHER = _table({"above": "above | over | higher than | at least"})
CEILING = _table(
    {
        "below": "don't go higher than | do not go higher than | don't go above | do not go above"
        " | never go higher than | never go above | no higher than | not higher than | without going above"
        " | without going higher than | don't lift it higher than | do not lift it higher than"
        " | without lifting it higher than",
    }
)
SLOWLY = _table(
    {
        "slowly": "slowly | very slowly | gently | very gently | carefully | very carefully | softly | slow"
        " | with care | do it slowly | do it gently | do it carefully | do so slowly | do so gently"
        " | do so carefully | take your time | at low speed | be careful | be gentle | go slowly | go slow"
        " | move slowly | in slow motion | slow down | as slowly as you can | as slowly as possible",
    }
)
WITHIN = _table(
    {
        "within": "within | in less than | in under | in at most | in no more than | in not more than"
        " | in fewer than | taking at most | take at most | taking no longer than | in a maximum of",
    }
)

# --- what stands between

LINKS = _table(
    {
        "then": "and then | then | after that | afterwards | and afterwards | next | ; | .",
        "and": "and | but | while | , | , and | , but | , then | , and then | , while | and also | also | when you"
        " | while you | as you | when picking it up",
    }
)
BEFORE = _table({"before": "before you | before"})
AFTER = _table({"after": "after you | after"})
OR = _table({"or": "or | nor | and | , | , or | , nor | , and"})
POLITENESS = _table(
    {
        "": "please | now | just | kindly | robot | hey | can you | could you | would you | will you | i want you to"
        " | i would like you to | i'd like you to | go and | you | make sure to | make sure you | be sure to | , | !"
        " | ? | . | first | at first | first of all | finally | lastly | to begin with | and finally | for me",
    }
)

EXAMPLES = (
    "pick up the blue cube",
    "put the red cube on the plate",
    "put the red cube to the right of the blue cube",
    "push the yellow brick forward",
    "lift the green cylinder but stay clear of the purple box",
    "keep 5 cm from the purple box",
)
