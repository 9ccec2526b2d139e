//! stub
/// s
pub struct Sampler;
/// s
pub struct SamplerOptions;
