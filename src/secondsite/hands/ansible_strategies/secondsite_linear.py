"""Mitogen's linear strategy, without its pinning of processes to processors.

On a machine with two or three processors Mitogen keeps the first for its multiplexer and everything else, each ssh
included, off it: with two, Ansible has one to itself and the other idles. The scheduler does better.
"""

import ansible_mitogen.affinity

ansible_mitogen.affinity.policy = ansible_mitogen.affinity.Policy()

import ansible_mitogen.loaders  # noqa: E402  the policy above must be in place first
import ansible_mitogen.strategy  # noqa: E402

Base = ansible_mitogen.loaders.strategy_loader.get("linear", class_only=True)


class StrategyModule(ansible_mitogen.strategy.StrategyMixin, Base):  # type: ignore[misc, valid-type]  # found at run time
    """The class Ansible looks for."""
