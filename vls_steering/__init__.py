"""vls_steering: make a frozen robot policy obey a sentence, at run time, on a Franka arm."""

import os
from pkgutil import extend_path

# The ROS interfaces (vls_steering.msg, vls_steering.action) are generated at build time.  When a
# source checkout shadows the installed package, find them there.
__path__ = extend_path(__path__, __name__)
__version__ = "0.1.0"

# MuJoCo chooses its OpenGL back end when it is first imported; without a display only EGL and OSMesa can render.
os.environ.setdefault("MUJOCO_GL", "egl")
