"""Training of a whole population in one compiled program.

- ``candidates``: what is trained and what comes of it, as NumPy arrays on the host
- ``gradients``: the gradient of the mean loss by a network's outputs
- ``learner``: one network and one loss: initialization, a step, a score
- ``judging``: the score of one network on a part of the data that is fed, from portion to portion
- ``feeding``: what of fed data is read next
- ``spreading``: networks that are spread over several devices
- ``kernels``: the same for the groups of candidates on one device
- ``grouping``: which candidate trains on which device, and with which others
- ``compiled``: the kernels compiled for a mesh of devices, and the data placed there
- ``blocks``: the candidates that the devices hold at once: trained, scored, regrouped, copied to the host
- ``trainer``: ``Trainer``, which trains a population from stop to stop
- ``checkpoints``: a training under way on disk

May import ``tasks`` and below, and ``distributed``.
"""
