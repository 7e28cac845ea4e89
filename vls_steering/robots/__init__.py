"""The FR3: its model files, its kinematics, and the back-end protocol behind which arms are driven."""
