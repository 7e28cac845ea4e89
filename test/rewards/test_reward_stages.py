"""What a stage prefers, forbids and measures: the motions a policy offers, ranked."""

from __future__ import annotations

import pytest
import torch
from rewards.table import HOME, PLACES, keypoints, motion, observe, straight

from vls_steering.rewards import CompiledProgram, Rollout, Scene
from vls_steering.vlm import OfflineGrammar, PlanRequest, plan

CUBE = PLACES["red cube"]
OTHERS = [PLACES["blue cube"], PLACES["green cylinder"], PLACES["yellow brick"]]
OPEN, SHUT = 0.08, 0.0


def program(instruction: str, *names: str) -> CompiledProgram:
    return plan(PlanRequest(instruction, keypoints(*names)), OfflineGrammar())


def raised(place: tuple[float, float, float], height: float) -> tuple[float, float, float]:
    return (place[0], place[1], height)


def closing(steps_before: int) -> torch.Tensor:
    widths = torch.full((1, 16), OPEN)
    widths[:, steps_before:] = SHUT
    return widths


class TestGrasp:
    grasp = program("pick up the red cube").stages[1]

    def test_the_way_to_the_named_object_wins(self) -> None:
        scene = Scene.from_observation(observe(keypoints()))
        scores = self.grasp.score(motion(straight([CUBE, *OTHERS, HOME])), scene)
        assert scores.argmax() == 0
        assert scores[0] - scores[1:].max() > 0.5

    def test_it_wins_from_far_beyond_the_reach_of_a_chunk(self) -> None:
        far = (0.40, 0.90, 0.60)
        scene = Scene.from_observation(observe(keypoints(), tcp=far))
        start, goals = torch.tensor(far), torch.tensor([CUBE, *OTHERS])
        ends = [tuple((start + 0.3 * (goal - start) / (goal - start).norm()).tolist()) for goal in goals]
        assert self.grasp.score(motion(straight(ends, start=far)), scene).argmax() == 0

    def test_an_open_hand_on_the_way_beats_a_closed_one(self) -> None:
        scene, path = Scene.from_observation(observe(keypoints())), straight([CUBE])
        opened, shut = (self.grasp.score(motion(path, width), scene) for width in (OPEN, SHUT))
        assert opened > shut

    def test_closing_at_the_object_beats_staying_open_and_closing_early(self) -> None:
        scene, path = Scene.from_observation(observe(keypoints())), straight([CUBE])
        at_object, never, early = (
            self.grasp.score(motion(path, widths), scene) for widths in (closing(13), closing(16), closing(6))
        )
        assert at_object > never > early

    def test_gripping_and_lifting_beats_leaving_with_a_closed_hand(self) -> None:
        here = observe(keypoints(), tcp=CUBE)
        scene = Scene.from_observation(here)
        leave = straight([(0.60, 0.0, 0.02)], start=CUBE)
        hold = torch.cat([torch.tensor(CUBE).expand(1, 5, 3), straight([raised(CUBE, 0.2)], start=CUBE)[:, :11]], 1)
        assert self.grasp.score(motion(hold, SHUT), scene) > self.grasp.score(motion(leave, SHUT), scene)

    def test_the_intent_never_moves_the_arm(self) -> None:
        scene, tcp = Scene.from_observation(observe(keypoints())), straight([CUBE]).requires_grad_()
        width = closing(10).requires_grad_()
        part = self.grasp.explain(motion(tcp, width), scene)["gripper: 0"]
        on_tcp, on_width = torch.autograd.grad(part.sum(), [tcp, width], allow_unused=True)
        assert on_tcp is None
        assert on_width.abs().sum() > 0

    def test_progress_rises_to_one_only_with_the_grasp(self) -> None:
        points = keypoints()
        way = [HOME, raised(CUBE, 0.15), raised(CUBE, 0.05), CUBE]
        progress = [self.grasp.progress(observe(points, tcp=tcp)) for tcp in way]
        assert progress == sorted(progress)
        assert progress[-1] < 0.8
        held = observe(points, tcp=CUBE, width=0.038, holds=True)
        assert self.grasp.progress(held) == 1.0
        assert self.grasp.done(held)
        assert not self.grasp.done(observe(points, tcp=CUBE))


class TestMissedGrasp:
    opening, grasp = program("pick up the red cube").stages[:2]

    def test_an_open_hand_above_the_object_has_nothing_to_do_first(self) -> None:
        assert self.opening.done(observe(keypoints(), tcp=HOME))

    def test_fingers_closed_on_nothing_begin_again_from_above(self) -> None:
        missed = observe(keypoints(), tcp=CUBE, width=0.0)
        assert not self.grasp.ready(missed)
        assert not self.opening.done(missed)
        scene = Scene.from_observation(missed)
        up = straight([raised(CUBE, 0.12)], start=CUBE)
        opened, shut = (self.opening.score(motion(up, width), scene) for width in (OPEN, SHUT))
        assert opened > shut
        stay = straight([CUBE], start=CUBE)
        assert opened > self.opening.score(motion(stay, OPEN), scene)

    def test_an_object_in_the_hand_is_not_let_go(self) -> None:
        held = observe(keypoints(), tcp=CUBE, width=0.038, holds=True)
        assert self.opening.done(held)
        assert self.grasp.ready(held)


class TestLiftAndPlace:
    def test_the_held_object_moves_with_the_hand(self) -> None:
        lift = program("pick up the red cube").stages[2]
        here = observe(keypoints(), tcp=CUBE, width=0.038, holds=True)
        scene = Scene.from_observation(here)
        assert scene.held == "red cube"
        up, aside = straight([raised(CUBE, 0.25), (0.6, 0.0, 0.02)], start=CUBE).split(1)
        assert lift.score(motion(up, SHUT), scene) > lift.score(motion(aside, SHUT), scene)
        assert lift.score(motion(up, SHUT), scene) > lift.score(motion(up, OPEN), scene) + 1.0

    def test_lifting_is_measured_on_the_object(self) -> None:
        lift = program("pick up the red cube").stages[2]
        high = raised(CUBE, 0.16)
        assert lift.done(observe(keypoints(red_cube=high), tcp=high, width=0.038, holds=True))
        empty = observe(keypoints(), tcp=high, width=0.0)
        assert not lift.done(empty)
        assert not lift.ready(empty)

    def test_the_stages_of_a_placement_follow_one_another(self) -> None:
        compiled = program("put the red cube on the plate")
        _, grasp, carry, lower, retreat = compiled.stages
        plate = PLACES["white plate"]
        above, down = raised(plate, 0.15), raised(plate, 0.033)
        held = {"width": 0.038, "holds": True}
        at_cube = observe(keypoints(), tcp=CUBE, **held)
        over = observe(keypoints(red_cube=above), tcp=above, **held)
        resting = observe(keypoints(red_cube=down), tcp=down, width=0.08)
        away = observe(keypoints(red_cube=down), tcp=raised(plate, 0.14), width=0.08)
        measured = [[stage.done(o) for stage in compiled.stages[1:]] for o in (at_cube, over, resting, away)]
        assert [row.index(False) if False in row else 4 for row in measured[:2]] == [1, 2]
        assert measured[2][2]
        assert not measured[2][3]
        assert measured[3][3]
        assert [stage.ready(over) for stage in (grasp, carry, lower)] == [True, True, True]
        assert retreat.ready(resting)

    def test_lowering_then_opening_beats_dropping_and_beats_carrying_on(self) -> None:
        lower = program("put the red cube on the plate").stages[3]
        plate = PLACES["white plate"]
        above, down = raised(plate, 0.15), raised(plate, 0.035)
        scene = Scene.from_observation(observe(keypoints(red_cube=above), tcp=above, width=0.038, holds=True))
        path = straight([down], start=above)
        let_go = torch.zeros(1, 16)
        let_go[:, 13:] = OPEN
        good, dropped, stays = (
            lower.score(motion(tcp, widths), scene)
            for tcp, widths in ((path, let_go), (path, OPEN), (straight([above], start=above), SHUT))
        )
        assert good > dropped
        assert good > stays


class TestKeepOut:
    NAMES = ("red cube", "blue cube", "purple box")
    grasp = program("pick up the red cube but stay clear of the purple box", *NAMES).stages[1]

    def detours(self) -> tuple[Rollout, Scene]:
        points = keypoints(*self.NAMES)
        through = straight([CUBE])
        around = through.clone()
        around[:, :, 2] += 0.25 * torch.sin(torch.linspace(0, torch.pi, 16))
        return motion(torch.cat([through, around])), Scene.from_observation(observe(points))

    def test_a_path_through_the_post_is_neither_safe_nor_preferred(self) -> None:
        rollout, scene = self.detours()
        safety = self.grasp.safety(rollout, scene)
        assert safety[0] < 0.0
        assert safety[1] > safety[0]
        assert self.grasp.score(rollout, scene).argmax() == 1

    def test_it_sees_the_hand_and_not_only_the_fingertips(self) -> None:
        points = keypoints(*self.NAMES)
        beside = (0.45, -0.05 + 0.022 + 0.08, 0.10)  # fingertips 8 cm from the post, the hand reaches 10 cm
        scene = Scene.from_observation(observe(points, tcp=beside))
        assert self.grasp.safety_now(scene) < 0.0
        turned = (0.45 + 0.022 + 0.08, -0.05, 0.10)  # the same distance along x, where the hand is thin
        assert self.grasp.safety_now(Scene.from_observation(observe(points, tcp=turned))) > 0.0

    def test_it_sees_the_held_object(self) -> None:
        lift = program("pick up the red cube but stay clear of the purple box", *self.NAMES).stages[2]
        tcp = (0.45 + 0.022 + 0.05, -0.05, 0.20)
        empty = Scene.from_observation(observe(keypoints(*self.NAMES), tcp=tcp))
        dangling = keypoints(*self.NAMES, red_cube=(tcp[0] - 0.03, tcp[1], tcp[2]))
        held = Scene.from_observation(observe(dangling, tcp=tcp, width=0.038, holds=True))
        assert lift.safety_now(held) < lift.safety_now(empty)

    def test_the_penalty_pushes_away_from_the_post(self) -> None:
        rollout, scene = self.detours()
        tcp = rollout.tcp[:1].clone().requires_grad_()
        part = next(v for k, v in self.grasp.explain(motion(tcp), scene).items() if k.startswith("safety"))
        (gradient,) = torch.autograd.grad(part.sum(), tcp)
        better = (tcp + 0.02 * gradient / gradient.norm()).detach()
        assert self.grasp.safety(motion(better), scene) > self.grasp.safety(motion(tcp), scene)

    def test_safety_is_in_metres_and_infinite_without_a_keep_out(self) -> None:
        free = program("pick up the red cube").stages[1]
        rollout, _ = self.detours()
        assert torch.isposinf(free.safety(rollout, Scene.from_observation(observe(keypoints())))).all()
        points = keypoints(*self.NAMES)
        here = Scene.from_observation(observe(points, tcp=(0.45, 0.25, 0.10)))
        there = Scene.from_observation(observe(points, tcp=(0.45, 0.30, 0.10)))
        assert self.grasp.safety_now(there) - self.grasp.safety_now(here) == pytest.approx(0.05, abs=0.005)


class TestPush:
    def test_behind_and_closed_first_then_through(self) -> None:
        behind, through = program("push the red cube forward").stages
        scene = Scene.from_observation(observe(keypoints(), width=0.0))
        back, front, away = (0.43, -0.12, 0.022), (0.57, -0.12, 0.022), (0.43, 0.12, 0.022)
        assert behind.score(motion(straight([back, front, away]), SHUT), scene).argmax() == 0
        start = Scene.from_observation(observe(keypoints(), tcp=back, width=0.0))
        goals = [(0.56, -0.12, 0.022), (0.56, -0.02, 0.022), back]
        assert through.score(motion(straight(goals, start=back), SHUT), start).argmax() == 0
        assert behind.done(observe(keypoints(), tcp=back, width=0.0))
        assert not through.done(observe(keypoints()))
        assert through.done(observe(keypoints(red_cube=(0.585, -0.12, 0.019))))


class TestHeldObject:
    @pytest.mark.parametrize(
        ("tcp", "width", "holds", "held"),
        [
            (CUBE, 0.038, True, "red cube"),
            (CUBE, 0.038, False, "red cube"),
            (CUBE, 0.080, False, None),
            (CUBE, 0.000, False, None),
            (HOME, 0.038, True, None),
            (raised(CUBE, 0.05), 0.038, True, "red cube"),
            (raised(CUBE, 0.07), 0.038, True, None),
            (PLACES["white plate"], 0.03, True, None),
        ],
    )
    def test_it_is_near_the_fingers_and_fits_between_them(
        self, tcp: tuple[float, float, float], width: float, holds: bool, held: str | None
    ) -> None:
        assert Scene.from_observation(observe(keypoints(), tcp=tcp, width=width, holds=holds)).held == held
