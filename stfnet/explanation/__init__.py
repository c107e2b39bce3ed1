"""A look inside a trained network: feature maps, Grad-CAM, and how much each frame counts."""
