import cv2
import numpy as np

from preprocessing.flow import constants


def test_the_numbers_are_those_of_opencvs_solver():
    solver = cv2.optflow.DualTVL1OpticalFlow_create()
    assert solver.getTau() == constants.TAU
    assert solver.getLambda() == constants.LAMBDA
    assert solver.getTheta() == constants.THETA
    assert solver.getEpsilon() == constants.EPSILON
    assert solver.getScalesNumber() == constants.SCALES
    assert solver.getScaleStep() == constants.SCALE_STEP
    assert solver.getWarpingsNumber() == constants.WARPS
    assert solver.getOuterIterations() == constants.OUTER_ITERATIONS
    assert solver.getInnerIterations() == constants.INNER_ITERATIONS
    assert solver.getMedianFiltering() == constants.MEDIAN_SIZE


def test_an_image_counts_as_flat_below_the_epsilon_of_single_precision():
    assert np.float32(constants.LEAST_GRADIENT) == np.float32(1.1920929e-07)  # FLT_EPSILON of C
