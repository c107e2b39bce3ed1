"""The penalty of a logistic regression, chosen by hand, and the rotation that saves time."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold

from stfnet import logistic


def test_the_strength_is_chosen_over_whole_groups():
    # The videos of a group are nearly copies: folds that divide groups would choose a weak penalty.
    rng = np.random.default_rng(0)
    groups = np.repeat([f"g{k:02d}" for k in range(16)], 5)
    labels = np.repeat(np.arange(16) % 2, 5)
    x = np.repeat(rng.normal(size=(16, 30)), 5, axis=0) + 0.01 * rng.normal(size=(80, 30))
    x[:, 0] += 2 * labels
    fitted = logistic.fit(x, labels, groups)
    by_hand = {}
    folds = StratifiedGroupKFold(5, shuffle=True, random_state=0)
    for one in logistic.STRENGTHS:
        odds = np.zeros(80)  # of the second class, logarithms
        for a, b in folds.split(x, labels, groups):
            mean, deviation = x[a].mean(0), x[a].std(0)
            model = LogisticRegression(C=one, max_iter=2000)
            model.fit((x[a] - mean) / deviation, labels[a])
            odds[b] = model.decision_function((x[b] - mean) / deviation)
        signed = odds * (2 * labels - 1)
        losses = {t: np.logaddexp(0, -signed / t).mean() for t in np.geomspace(0.1, 20, 400)}
        temperature = min(losses, key=losses.get)
        by_hand[one] = losses[temperature], temperature, np.mean(signed > 0)
    loss, temperature, accuracy = by_hand[fitted.strength]
    assert loss < 1.01 * min(by_hand.values())[0] and loss < 0.9 * by_hand[1e-5][0]
    assert fitted.losses.mean() == pytest.approx(loss, rel=1e-2)
    assert fitted.temperature == pytest.approx(temperature, rel=0.02)
    assert fitted.accuracy == pytest.approx(accuracy) and accuracy < 1


def test_a_certain_answer_says_nothing_of_its_logarithm(recwarn):
    rng = np.random.default_rng(0)
    groups = np.arange(40)
    x = rng.normal(size=(40, 1)) + 1e3 * (groups == 7)[:, None]  # far off, and surely of a class
    fitted = logistic.fit(x, np.where(groups == 7, 1, groups % 2), groups)
    assert np.isfinite(fitted.losses).all()
    assert not [one for one in recwarn if "divide by zero" in str(one.message)]


def _chosen(candidates, labels, groups):
    fits = {name: logistic.fit(x, labels, groups) for name, x in candidates.items()}
    name = logistic.plainest(fits, groups)
    return name, fits[name]


def _groups_of_two_classes(noise):
    """(labels, groups, a feature that tells the class, features that say nothing)."""
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(24), 3)
    labels = groups % 2
    told = labels[:, None] + noise * rng.normal(size=(72, 1))
    return labels, groups, told, rng.normal(size=(72, 40))


def test_penalties_that_are_too_strong_to_see_anything_do_not_end_the_search():
    # Scenes count for more than the seven classes: strong penalties have the loss of chance.
    rng = np.random.default_rng(14)
    groups = np.repeat(np.arange(28), 4)
    labels = groups % 7
    x = np.repeat(rng.normal(size=(28, 400)), 4, axis=0) + 0.3 * rng.normal(size=(112, 400))
    x[:, :7] += 2.5 * np.eye(7)[labels]
    fitted = logistic.fit(x, labels, groups)
    assert fitted.strength > 1e-3 and fitted.accuracy > 0.1  # it stopped at 1e-3, with 0.04


def test_the_plainer_is_chosen_where_nothing_is_gained_and_the_better_where_it_is():
    labels, groups, told, nothing = _groups_of_two_classes(noise=0.5)
    more = np.concatenate([told, nothing], 1)
    name, fitted = _chosen({"plain": told, "more": more}, labels, groups)
    assert name == "plain" and fitted.accuracy > 0.75
    name, fitted = _chosen({"plain": nothing, "more": more}, labels, groups)
    assert name == "more" and fitted.accuracy > 0.6
    # Of equal features the first is taken.
    name, _ = _chosen({"plain": more[:, ::-1], "more": more}, labels, groups)
    assert name == "plain"


def test_without_folds_the_plainest_is_chosen():
    labels, x = np.array([0, 0, 1, 1]), np.array([[0.0], [0.1], [1.0], [1.1]])
    name, fitted = _chosen({"plain": x, "more": -x}, labels, np.zeros(4))
    assert name == "plain" and fitted.losses is None


@pytest.mark.parametrize("groups", ["aaaaaa", "aaabbb"])
def test_too_few_groups_take_the_default_strength(groups):
    labels = np.array([0, 0, 0, 1, 1, 1])
    x = labels[:, None] + np.linspace(0, 0.1, 12).reshape(6, 2)
    fitted = logistic.fit(x, labels, np.array(list(groups)))
    assert fitted.strength == 1.0 and fitted.accuracy is None
    assert fitted.pipeline.score(x, labels) == 1.0


def test_the_rotation_changes_no_probability():
    rng = np.random.default_rng(1)
    labels = np.arange(30) % 3
    x = rng.normal(size=(30, 200)) * rng.uniform(0.1, 9, 200) + labels[:, None]
    fitted = logistic.fit(x, labels, np.arange(30) // 3)
    plain = LogisticRegression(C=fitted.strength, max_iter=10000, tol=1e-8)
    standard = (x - x.mean(0)) / x.std(0)
    want = plain.fit(standard, labels).predict_proba(standard)
    np.testing.assert_allclose(fitted.pipeline.predict_proba(x), want, atol=1e-3)
