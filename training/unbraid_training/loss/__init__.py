"""The training loss, a noun a file: how likely the next events are, and what keeps interests apart.

p(i, t) = sum_k choice_k(t) * softmax_i(v_k.e_i / temperature + g * log pop_i)

A user picks an interest by how alive it is (``choice``), then an item from it (``item_softmax``): a mixture of
softmaxes (Yang et al. 2018, arXiv:1711.03953), whose responsibilities are the soft form of ComiRec's choice of one
interest per target (``mixture``). Above some size of the catalogue the softmax is estimated from a sample
(``negatives``). What is added rewards or punishes ways of sharing out events (``routing``) and of depending on each
other (``independence``); ``objective`` puts it together, ``separation`` watches whether interests collapse.
"""
