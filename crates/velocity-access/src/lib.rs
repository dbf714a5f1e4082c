//! Identity from credentials and the decisions of the access layers.
