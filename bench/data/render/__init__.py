"""Procedural characters, their poses and the renderer that draws them with exact keypoints."""
