"""Start the whole node set: `ros2 launch vls_steering bringup.launch.py robot:=sim scene:=obstacle`.

Which nodes there are, and what each is given, is vls_steering.nodes.node_set; this file only turns it into launch.
"""

from launch import LaunchContext, LaunchDescription, LaunchDescriptionEntity
from launch.actions import DeclareLaunchArgument, OpaqueFunction, SetEnvironmentVariable, Shutdown
from launch.conditions import IfCondition
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

from vls_steering.core.config import choices, parse_settings
from vls_steering.nodes.node_set import PACKAGE, Deployment, nodes_for, share_folder


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
    use_rviz = DeclareLaunchArgument("use_rviz", default_value="False", description="show config/vls.rviz in RViz")
    # Pictures are larger than the default shared-memory segment; see the file.
    profile = SetEnvironmentVariable("FASTDDS_DEFAULT_PROFILES_FILE", str(share_folder() / "config" / "fastdds.xml"))
    rviz = Node(
        package="rviz2",
        executable="rviz2",
        namespace=LaunchConfiguration("namespace"),
        arguments=["-d", str(share_folder() / "config" / "vls.rviz")],
        condition=IfCondition(LaunchConfiguration("use_rviz")),
    )
    return LaunchDescription([*arguments, use_rviz, profile, OpaqueFunction(function=_nodes), rviz])


def _nodes(context: LaunchContext) -> list[LaunchDescriptionEntity]:
    given = {name: LaunchConfiguration(name).perform(context) for name in Deployment.model_fields}
    deployment = parse_settings(Deployment, given, "launch arguments")
    return [
        Node(
            package=PACKAGE,
            executable=entry.executable,
            name=entry.name,
            namespace=deployment.namespace,
            parameters=[str(deployment.parameter_file), entry.parameters(deployment)],
            arguments=["--ros-args", "--log-level", deployment.log_level],
            output="screen",
            # One node that dies takes the others through their shutdown transition: the arm is left holding.
            on_exit=Shutdown(reason=f"{entry.name} has ended"),
        )
        for entry in nodes_for(deployment.robot)
    ]
