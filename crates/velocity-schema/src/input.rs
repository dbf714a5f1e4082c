//! Records as clients send them.
