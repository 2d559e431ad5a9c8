"""What all tests share: jax's x64 mode, and a backend of each framework."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile

# one process a core: threads of their own only get in each other's way
os.environ.setdefault("OMP_NUM_THREADS", "1")
if "JAX_COMPILATION_CACHE_DIR" not in os.environ:  # many tests compile one program: once a session is enough
    CACHE = tempfile.mkdtemp(prefix="wgfode-jax-")
    os.environ |= {"JAX_COMPILATION_CACHE_DIR": CACHE, "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}
    atexit.register(shutil.rmtree, CACHE, ignore_errors=True)

import jax
import pytest

from wgfode.backend import Backend, load

jax.config.update("jax_enable_x64", True)


@pytest.fixture(scope="session", params=["torch", "jax"])
def backend(request: pytest.FixtureRequest) -> Backend:
    """The float64 backend of each framework in turn."""
    return load(request.param)


DEAR = """
solvers/test_nystrom.py::test_a_matrix_free_stage_is_that_of_a_factorisation[jax]
solvers/test_nystrom.py::test_only_what_was_missed_is_left_to_the_iteration[jax]
solvers/test_elimination.py::test_an_affine_map_needs_no_iteration[jax]
solvers/test_derivatives.py::test_implicit_derivatives[LSMR]
test_derivatives.py::test_jvp_vjp_and_jacobian[jax-solver0]
test_derivatives.py::test_jvp_vjp_and_jacobian[jax-solver1]
test_rhs.py::test_solvers_with_one_shift_are_one_right_hand_side[jax-relaxed-float32]
test_rhs.py::test_solvers_with_one_shift_are_one_right_hand_side[jax-blended-float32]
test_rhs.py::test_solvers_with_one_shift_are_one_right_hand_side[jax-filtered-float32]
run/test_checkpoint.py::test_the_file_alone_repeats_the_run[diffrax]
run/test_checkpoint.py::test_resumed_is_undisturbed[resampling]
stepping/test_esdirk.py::test_auto_goes_on_as_if_it_had_never_stopped
stepping/test_esdirk.py::test_stiff_run[diffrax]
stepping/test_esdirk.py::test_diffrax_methods_with_our_root_finder[LU]
stepping/test_integrator.py::test_output_times_force_no_steps[Kvaerno5]
stepping/test_proximal.py::test_a_trained_step_is_the_training_free_one[torch]
test_equivariance.py::test_every_map_and_both_metrics[torch-neural ode]
test_equivariance.py::test_components_of_very_different_extent_by_other_ways[proximal]
adapters/test_right_hand_sides.py::TestSolve::test_nan_on_the_way_stops_with_a_partial_dataset[diffrax]
adapters/test_right_hand_sides.py::TestTorchdiffeq::test_every_method[adaptive_heun-None-1e-05]
adapters/test_right_hand_sides.py::TestDiffrax::test_float32_whatever_the_global_switch[False]
validation/test_linear.py::test_the_kinetic_oscillator[diffrax]
energies/test_energies.py::test_interaction_does_not_depend_on_its_blocks[jax-1000]
solvers/test_derivatives.py::test_implicit_derivatives[Nystrom]
test_rhs.py::test_solvers_with_one_shift_are_one_right_hand_side[jax-blended-float64]
test_rhs.py::test_solvers_with_one_shift_are_one_right_hand_side[jax-filtered-float64]
test_rhs.py::test_matrix_free_agrees_with_dense[jax-MINRES(rtol=1e-12, max_steps=None, shift=0.01)]
test_rhs.py::test_matrix_free_agrees_with_dense[jax-Nystrom(rtol=1e-12, max_steps=None, shift=0.01, rank=8)]
test_rhs.py::test_torch_agrees_with_jax[fokker-planck-30d]
test_accuracy.py::test_ten_dimensions_affine_200_points[diffrax]
test_examples.py::test_by_hand[diffrax]
test_certificate.py::test_a_failing_factorisation_is_counted[diffrax]
cli/test_cli.py::test_run_writes_and_prints[diffrax]
run/test_checkpoint.py::test_resumed_is_undisturbed[bilevel]
stepping/test_proximal.py::test_the_step_solves_its_equation[jax]
stepping/test_esdirk.py::test_error_norm_of_the_metric_with_explicit_methods[diffrax]
adapters/test_right_hand_sides.py::TestSolve::test_lost_injectivity_stops[diffrax]
adapters/test_right_hand_sides.py::TestSolve::test_resampling[diffrax]
adapters/test_right_hand_sides.py::TestSolve::test_max_steps[diffrax]
adapters/test_right_hand_sides.py::TestSolve::test_fixed_steps_have_no_slivers[diffrax]
metrics/test_wasserstein.py::test_in_one_dimension_it_is_relaxed[jax]
metrics/test_wasserstein.py::test_the_filter_is_that_of_the_generalized_eigenproblem[jax-0.1-2]
metrics/test_wasserstein.py::test_the_blend_is_its_least_squares_problem[jax]
metrics/test_wasserstein.py::test_the_energy_estimator_needs_no_g[jax]
energies/test_energies.py::test_interaction_does_not_depend_on_its_blocks[jax-1]
test_rhs.py::test_torch_agrees_with_jax[moving-trap-100d]
test_rhs.py::test_torch_agrees_with_jax[manufactured-10d]
maps/test_ridge.py::test_a_stored_factor_gives_the_same_velocity[jax-Cholesky(shift=1e-09)]
metrics/test_wasserstein.py::test_a_coupling_map_needs_no_particular_metric[G]
plots/test_plots.py::test_every_problem_has_its_pictures[moving-trap-100d]
plots/test_plots.py::test_every_problem_has_its_pictures[kuramoto]
plots/test_plots.py::test_every_problem_has_its_pictures[ou-time-dependent-2d]
plots/test_plots.py::test_every_problem_has_its_pictures[kinetic-oscillator]
plots/test_plots.py::test_every_problem_has_its_pictures[fokker-planck-30d]
maps/test_ridge.py::test_a_stored_factor_gives_the_same_velocity[jax-Eigh(shift=1e-08)]
run/test_restart.py::test_the_exact_flow_does_not_see_restarts[torchdiffeq-Kvaerno5-1-restarts1]
adapters/test_models.py::test_a_scanned_flowjax_flow_is_a_map_in_either_mode_of_jax[True]
"""
"""Tests of several seconds that have a cheaper twin (another framework, solver or case): they are slow ones."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is dear, so that the default run leaves it out."""
    dear = set(DEAR.split("\n"))
    for item in items:
        if item.nodeid.removeprefix("tests/") in dear:
            item.add_marker(pytest.mark.slow)
