"""Graph convolution as pure functions of arrays: graph, sums, convolution, objectives."""
