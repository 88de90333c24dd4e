"""What holds of every thing, and of everything that attends, holds of what is made of kernels: the same tests again."""

from ...properties.test_attending import (  # noqa: F401  collected here, they run under this folder's backend
    test_a_change_moves_everything_later_and_nothing_earlier,
    test_padding_changes_nothing,
)
from ...properties.test_every_thing import (  # noqa: F401
    test_a_float64_scalar_does_not_widen,
    test_an_empty_batch,
    test_every_array_in_g_is_fresh,
    test_precision_follows_the_inputs,
    test_the_layout_of_the_memory_changes_nothing,
    test_the_same_bits_again_and_nothing_written_to,
)
