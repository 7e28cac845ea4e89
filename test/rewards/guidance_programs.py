"""Programs in the VLS format, one for each kind that VLS's public prompt templates ask for."""

from __future__ import annotations

APPROACH = """
# Stage 1: move to the red cube
num_stages = 1
stage_names = ["reach the red cube"]

def stage1_guidance(keypoints, action_sequence):
    \"\"\"Closer is better, the end of the chunk counts most.\"\"\"
    horizon = action_sequence.shape[1]
    step = torch.arange(horizon, device=action_sequence.device)
    late = step >= int(0.6 * horizon)
    weight = torch.where(late, torch.tensor(4.0, device=step.device), torch.tensor(1.0, device=step.device))
    weight = weight / weight.sum()
    which = torch.tensor([0], dtype=torch.long, device=keypoints.device)
    goal = keypoints[which][0]
    away = torch.norm(action_sequence - goal, dim=-1)
    reward = -(away ** 2 * weight).sum(dim=1)
    return reward.mean()
"""

PICK_AND_PLACE = """
num_stages = 2

def stage1_guidance(keypoints, action_sequence):
    goal = keypoints[torch.tensor([0], dtype=torch.long, device=keypoints.device)][0]
    sideways = torch.norm(action_sequence[..., :2] - goal[:2], dim=-1)
    upright = torch.abs(action_sequence[..., 2] - goal[2])
    reward = -(5.0 * sideways ** 2 + upright ** 2).mean(dim=1)
    return reward.mean()

def stage2_guidance(keypoints, action_sequence):
    corners = torch.tensor([1, 2, 4], dtype=torch.long, device=keypoints.device)
    middle = keypoints[corners].mean(dim=0)
    above = middle + torch.tensor([0.0, 0.0, 0.08], device=keypoints.device)
    last = action_sequence[:, -1, :]
    reward = -((last - above) ** 2).sum(dim=-1)
    return reward.mean()
"""

NO_CHOICE_LEFT = """
num_stages = 2
def stage1_guidance(keypoints, action_sequence):
    return -torch.norm(action_sequence - keypoints[1], dim=-1).mean()
def stage2_guidance(keypoints, action_sequence):
    # The policy places without help.
    return torch.tensor(0.0, device=action_sequence.device)
"""

DRAWER = """
num_stages = 3

def stage1_guidance(keypoints, action_sequence):
    front = keypoints[torch.tensor([0], dtype=torch.long)][0]
    inside = keypoints[torch.tensor([1], dtype=torch.long)][0]
    inward = inside - front
    inward = inward / (torch.norm(inward) + 1e-6)
    before = front - 0.04 * inward
    n = action_sequence.shape[1]
    share = torch.ones(n, device=action_sequence.device)
    share[int(0.75 * n):] = 2.5
    share = share / share.sum()
    gaps = torch.norm(action_sequence - before, dim=-1) * share.unsqueeze(0)
    settle = -(torch.norm(action_sequence[:, -1, :] - front, dim=-1) ** 2) * 1.5
    return (settle - (gaps ** 2).sum(dim=1)).mean()

def stage2_guidance(keypoints, action_sequence):
    front = keypoints[0]
    inward = keypoints[1] - front
    inward = inward / (torch.linalg.norm(inward) + 1e-6)
    begin = action_sequence[:, 0, :]
    moved = torch.sum((action_sequence[:, -1, :] - begin) * inward, dim=-1)
    first = max(2, int(0.25 * action_sequence.shape[1]))
    touch = -(torch.norm(action_sequence[:, :first, :] - front, dim=-1) ** 2).mean(dim=1)
    offset = action_sequence - begin.unsqueeze(1)
    depth = torch.sum(offset * inward, dim=-1)
    backwards = torch.cummax(depth, dim=1)[0] - depth
    sideways = offset - depth.unsqueeze(-1) * inward
    drift = -(torch.norm(sideways, dim=-1) ** 2).mean(dim=1)
    reward = moved + 3.0 * touch - 2.0 * (backwards ** 2).mean(dim=1) + drift
    return reward.mean()

def stage3_guidance(keypoints, action_sequence):
    axis = torch.nn.functional.normalize(keypoints[1] - keypoints[0], dim=0)
    move = action_sequence[:, -1, :] - action_sequence[:, 0, :]
    along = torch.sum(move * axis, dim=-1)
    apart = torch.norm(action_sequence[:, -1, :] - keypoints[0], dim=-1)
    return (0.6 * move[:, 2] + 0.2 * apart - along ** 2).mean()
"""

DOOR = """
num_stages = 2
def stage1_guidance(keypoints, action_sequence):
    candidates = keypoints[torch.tensor([0, 1, 3], dtype=torch.long, device=keypoints.device)]
    far = torch.abs(candidates[:, 0] - 0.45)
    choice = torch.softmax(-far * 40.0, dim=0)
    handle = (candidates * choice.unsqueeze(-1)).sum(dim=0)
    grip = handle + torch.tensor([0.02, 0.0, 0.0], device=keypoints.device)
    return -((action_sequence - grip) ** 2).sum(dim=-1).mean()
def stage2_guidance(keypoints, action_sequence):
    left = torch.tensor([-1.0, 0.0, 0.0], device=keypoints.device)
    slid = ((action_sequence[:, -1] - action_sequence[:, 0]) * left).sum(dim=-1)
    level = (action_sequence[:, :, 2] - action_sequence[:, :1, 2]).abs().mean(dim=1)
    return (slid - 0.5 * level).mean()
"""

BUTTON = """
num_stages = 2
def stage1_guidance(keypoints, action_sequence):
    buttons = keypoints[torch.tensor([0, 2], dtype=torch.long, device=keypoints.device)]
    lower = buttons[torch.argmin(buttons[:, 2])]
    hover = lower + 0.03 * torch.tensor([0.0, 0.0, 1.0], device=keypoints.device)
    return -(torch.norm(action_sequence - hover, dim=-1) ** 2).mean(dim=1).mean()
def stage2_guidance(keypoints, action_sequence):
    buttons = keypoints[torch.tensor([0, 2], dtype=torch.long, device=keypoints.device)]
    lower = buttons[torch.argmin(buttons[:, 2])]
    n = action_sequence.shape[1]
    rel = action_sequence - lower
    depth = torch.sum(rel * torch.tensor([0.0, 0.0, -1.0]), dim=-1)
    deepest = depth.max(dim=1)[0]
    dwell = depth[:, int(0.7 * n):].mean(dim=1)
    xy = torch.norm(rel[:, :, 0:2], dim=-1)
    weights = torch.ones(n)
    weights[n // 2:] = 3.0
    weights = weights / weights.sum()
    aligned = -((xy ** 2) * weights.unsqueeze(0)).sum(dim=1)
    rebound = torch.cummax(depth, dim=1).values - depth
    total = deepest + 2.0 * dwell + 50.0 * aligned - 5.0 * (rebound ** 2).mean(dim=1)
    return total.mean()
"""

PUSH = """
num_stages = 2
def stage1_guidance(keypoints, action_sequence):
    gaps = torch.norm(action_sequence - keypoints[3], dim=-1)
    return (-(gaps ** 2).mean(dim=1)).mean()
def stage2_guidance(keypoints, action_sequence):
    ahead = torch.tensor([1.0, 0.0, 0.0], device=keypoints.device)
    rel = action_sequence - keypoints[3]
    along = torch.sum(rel * ahead, dim=-1)
    yz = rel[:, :, 1:3]
    reward = along.max(dim=1)[0] - (torch.norm(yz, dim=-1) ** 2).mean(dim=1)
    return reward.mean()
"""

SWITCH_WITH_FALLBACK = """
num_stages = 1
def stage1_guidance(keypoints, action_sequence):
    place = torch.tensor([0.50, 0.05, 0.29], device=keypoints.device)
    return -((action_sequence - place).pow(2).sum(-1).sqrt()).amin(dim=1).mean()
"""

NUMPY_AND_LOOPS = """
num_stages = 1
def stage1_guidance(keypoints, action_sequence):
    total = np.zeros(1)
    for i in range(3):
        total = total - np.linalg.norm(action_sequence - keypoints[i], axis=-1).mean() if False else total
        total += -torch.clamp(torch.norm(action_sequence - keypoints[i], dim=-1), min=0.1).mean()
    return total.mean()
""".replace("np.linalg.norm(action_sequence - keypoints[i], axis=-1).mean() if False else total", "0.0")

GOOD = {
    "approach": APPROACH,
    "pick and place": PICK_AND_PLACE,
    "no choice left": NO_CHOICE_LEFT,
    "drawer": DRAWER,
    "door": DOOR,
    "button": BUTTON,
    "push": PUSH,
    "switch with fallback": SWITCH_WITH_FALLBACK,
    "numpy and loops": NUMPY_AND_LOOPS,
}
