"""What may be flashed, and flashing it: signed manifests, their policy, images and carriers."""
