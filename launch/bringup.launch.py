"""Start the whole node set: `ros2 launch vls_steering bringup.launch.py robot:=sim scene:=obstacle`.

Which nodes there are, and what each is given, is vls_steering.nodes.node_set; this file only turns it into launch.  For
people to look at there are RViz and rqt, when asked for, and diagnostic_aggregator, where it is installed.
"""

from difflib import get_close_matches

from launch import LaunchContext, LaunchDescription, LaunchDescriptionEntity
from launch.actions import DeclareLaunchArgument, LogInfo, OpaqueFunction, SetEnvironmentVariable, Shutdown
from launch.substitutions import Command, LaunchConfiguration
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue

from vls_steering.core.config import choices, parse_settings
from vls_steering.nodes import viewers
from vls_steering.nodes.node_set import PACKAGE, Deployment, nodes_for, share_folder
from vls_steering.nodes.parameters import refuse_unknown

VIEWERS = {
    "use_rviz": ("False", "show config/vls.rviz in RViz, with the robot's model where franka_description is installed"),
    "use_rqt": ("False", "show config/vls.perspective in rqt"),
    "use_aggregator": ("True", "sort /diagnostics for rqt_robot_monitor, where diagnostic_aggregator is installed"),
}


def generate_launch_description() -> LaunchDescription:
    arguments = [
        DeclareLaunchArgument(
            name,
            default_value=str(field.default),
            description=field.description,
            choices=list(choices(field)) or None,
        )
        for name, field in Deployment.model_fields.items()
    ]
    wishes = [
        DeclareLaunchArgument(name, default_value=default, description=description)
        for name, (default, description) in VIEWERS.items()
    ]
    # Pictures are larger than the default shared-memory segment; see the file.
    profile = SetEnvironmentVariable("FASTDDS_DEFAULT_PROFILES_FILE", str(share_folder() / "config" / "fastdds.xml"))
    functions = [OpaqueFunction(function=function) for function in (_names, _nodes, _viewers)]
    return LaunchDescription([*arguments, *wishes, profile, *functions])


def _names(context: LaunchContext) -> list[LaunchDescriptionEntity]:
    """launch ignores arguments that no file declares: here a name close to one of ours is an error.

    Others are told only, because within a larger launch file they may be somebody else's.
    """
    known = [*Deployment.model_fields, *VIEWERS]
    given = [word.partition(":=")[0] for word in context.argv if ":=" in word]
    unknown = [name for name in given if name not in known]
    refuse_unknown({name: None for name in unknown if get_close_matches(name, known)}, known, "bringup.launch.py")
    return [LogInfo(msg=f"{name} is no argument of bringup.launch.py: it changes nothing here") for name in unknown]


def _nodes(context: LaunchContext) -> list[LaunchDescriptionEntity]:
    deployment = _deployment(context)
    # Whoever has the robot's model tells the links' frames: twice would make them jump.
    others = {"arm_frames": False} if _publishes_model(context, deployment) else {}
    return [
        Node(
            package=PACKAGE,
            executable=entry.executable,
            name=entry.name,
            namespace=deployment.namespace,
            parameters=[
                str(deployment.parameter_file),
                entry.parameters(deployment) | (others if entry.name in viewers.FRAME_TELLERS else {}),
            ],
            arguments=["--ros-args", "--log-level", deployment.log_level],
            output="screen",
            # One node that dies takes the others through their shutdown transition: the arm is left holding.
            on_exit=Shutdown(reason=f"{entry.name} has ended"),
        )
        for entry in nodes_for(deployment.robot)
    ]


def _viewers(context: LaunchContext) -> list[LaunchDescriptionEntity]:
    """None of them takes the node set down when it is closed."""
    deployment = _deployment(context)
    clock = {"use_sim_time": deployment.simulates_time}
    config = share_folder() / "config"
    started: list[LaunchDescriptionEntity] = []

    def start(package: str, executable: str, *parameters: object, arguments: tuple[str, ...] = ()) -> None:
        lacking = viewers.missing(package)
        if lacking:
            started.append(LogInfo(msg=f"{package} is not installed and not started"))
            return
        started.append(
            Node(
                package=package,
                executable=executable,
                namespace=deployment.namespace,
                parameters=list(parameters),
                arguments=list(arguments),
            )
        )

    if _is_wished(context, "use_aggregator"):
        start("diagnostic_aggregator", "aggregator_node", str(config / "diagnostics.yaml"))
    if _is_wished(context, "use_rqt"):
        start(
            "rqt_gui",
            "rqt_gui",
            clock,
            arguments=("--perspective-file", str(viewers.perspective_file(deployment.namespace))),
        )
    if _is_wished(context, "use_rviz"):
        start("rviz2", "rviz2", clock, arguments=("-d", str(config / "vls.rviz")))
        if _publishes_model(context, deployment):
            model = ParameterValue(Command(["xacro ", str(viewers.description_file()), " hand:=true"]), value_type=str)
            start("robot_state_publisher", "robot_state_publisher", clock, {"robot_description": model})
        elif deployment.robot not in viewers.DESCRIBES_ITSELF:
            lacking = ", ".join(viewers.missing(*viewers.DESCRIPTION_PACKAGES)) or "the FR3 in franka_description"
            started.append(LogInfo(msg=f"RViz shows frames and markers but no robot model: {lacking} is not installed"))
    return started


def _deployment(context: LaunchContext) -> Deployment:
    given = {name: LaunchConfiguration(name).perform(context) for name in Deployment.model_fields}
    return parse_settings(Deployment, given, "launch arguments")


def _is_wished(context: LaunchContext, name: str) -> bool:
    return LaunchConfiguration(name).perform(context).lower() in ("true", "1")


def _publishes_model(context: LaunchContext, deployment: Deployment) -> bool:
    """Whether a robot_state_publisher is started here, which tells the links' frames."""
    wanted = _is_wished(context, "use_rviz") and deployment.robot not in viewers.DESCRIBES_ITSELF
    return wanted and viewers.description_file() is not None
