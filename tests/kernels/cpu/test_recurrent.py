"""What holds of the recurrent operations holds of their kernels: the same tests again."""

from minitransformer.convention import current_backend

from ...arrays import same_bits
from ...blocks.test_recurrent import test_padding_changes_nothing  # noqa: F401  under this folder's backend
from ...ops.test_recurrent import (  # noqa: F401
    each_cell,
    set_out,
    test_a_change_moves_the_next_step_and_nothing_earlier,
    test_a_cut_behind_the_end_cuts_nothing,
    test_a_network_of_relus,
    test_at_the_kink_nothing_comes_back,
    test_it_is_the_sequence_of_the_tokens_that_counts,
    test_step_by_step,
    test_the_other_way_round,
    test_truncated_gradients_are_those_of_pieces,
    test_two_runs_are_one,
    test_what_nothing_was_felt_of_may_be_none,
    test_what_stands_where_no_token_is_may_be_anything,
    test_without_a_state_it_begins_with_zeros,
    test_without_biases_they_are_zero,
)


@each_cell
def test_they_are_the_kernels(cell, rng):
    p, x, states = set_out(cell, rng)
    assert current_backend() == cell(p, x, *states)[1].backend == "cpu"


@each_cell
def test_what_is_returned_is_nobody_elses(cell, rng):
    """Whoever writes to an output or to a state does not change what the backward finds."""
    p, x, states = set_out(cell, rng)
    outputs, saved = cell(p, x, *states)
    dy = [rng.normal(size=part.shape) for part in outputs]
    before = cell.backward(*dy, saved)
    for part in outputs:
        part[...] = 7
    assert same_bits(cell.backward(*dy, saved), before)
