"""Data: generating, storing, checking and serving the images and keypoints."""
