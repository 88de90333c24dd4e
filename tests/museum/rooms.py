"""The rooms, in the order of a visit."""

from . import (
    attention_room,
    decoding_room,
    definitions_room,
    gradients_room,
    losses_room,
    masks_room,
    optimizer_room,
)

ROOMS = [
    attention_room.ROOM,
    gradients_room.ROOM,
    definitions_room.ROOM,
    losses_room.ROOM,
    masks_room.ROOM,
    optimizer_room.ROOM,
    decoding_room.ROOM,
]
