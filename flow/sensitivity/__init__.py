"""How much each choice of a space hurts the float network, measured without training a design.

`cells` says what there is to measure, `fisher`, `hessian` and `outputs` measure it, `intervals` and `spread` follow
errors through the network, and `knowledge` hands it all to the strategies.
"""
