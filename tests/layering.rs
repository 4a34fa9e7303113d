//! layering
#[test] fn t(){}
