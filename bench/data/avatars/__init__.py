"""Real characters: VRM avatars and BVH or VRMA motion clips, rendered into a data set; and writing VRM."""
