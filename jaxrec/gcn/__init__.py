"""Graph convolution as pure functions of arrays: graph, message passing, model, losses."""
