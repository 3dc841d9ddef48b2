"""AVA to checkpoint. Needs photographs and a GPU; arrives with a later release."""
