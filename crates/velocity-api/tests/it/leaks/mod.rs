//! Nothing that a caller may not see comes out by any road.
//!
//! Two worlds hold the same records but for what a restricted caller must not know: hidden values, what masks leave out, and
//! rows that filters hide. Whatever such a caller sends to whatever endpoint, both worlds must give the same answer; a
//! difference is a leak, by whichever road. [`coverage`] has probes for every endpoint that there is, so that a new one
//! without any fails here. [`truth`] compares what is shown with what the test itself computes.

mod coverage;
mod layers;
mod truth;
mod world;
