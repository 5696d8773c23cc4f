"""The sagas, one file each; a companion's own modules may add more."""
