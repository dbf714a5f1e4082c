//! The Kubernetes API for one process: development and hermetic tests.
