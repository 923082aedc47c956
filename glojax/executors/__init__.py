"""Where candidates are trained: in this process, in several that joined, or by Ray's workers.

- ``protocol``: the interface of an executor and its evaluators
- ``local``: the executor of this process, and ``resolve``, which chooses one
- ``ray_executor``: training on a Ray cluster (the extra ``glojax[ray]``)
- ``ray_workers``: the pool of Ray's workers, and the code that runs in each
- ``scheduling``: which batch a free worker gets, also when workers are lost, late or new

May import ``training`` and below.
"""
